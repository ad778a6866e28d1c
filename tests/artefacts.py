"""A small net, compiled once for all tests of a run that want an artefact to work on."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import onnx

import nincc
from tests.verify.small_nets import small_proto


@dataclass(frozen=True)
class Compiled:
    """The ONNX file (input x [2, 3, 8, 8], output prob [2, 5]) and the artefact with its class maps kept."""

    model: Path
    folder: Path


@cache
def small() -> Compiled:
    """Tests must not change the artefact: copy it first."""
    work = Path(tempfile.mkdtemp(prefix="nincc-test-"))
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    model, folder = work / "small.onnx", work / "small"
    onnx.save(small_proto(softmax=True), model)
    nincc.compile(model, out=folder, name="small", threads=2, keep_maps=True)
    return Compiled(model, folder)
