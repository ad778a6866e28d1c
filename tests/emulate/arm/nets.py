"""Artefacts for ARM that several tests run, each compiled once for all of them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import nincc

DATA = Path(__file__).resolve().parents[2] / "data"
TARGETS = ("cortex-a53", "cortex-a72", "neoverse-n1", "cortex-a7")


@cache
def digits_net(net: str, target: str, **options: Any) -> Path:
    """One of the trained nets as ``digits``, not verified: the tests do that.  Nobody may change the artefact."""
    return compiled(DATA / f"{net}.onnx", target, name="digits", **options)


def compiled(model: Path, target: str, **options: Any) -> Path:
    """An artefact that lasts as long as the tests."""
    work = Path(tempfile.mkdtemp(prefix="nincc-arm-"))
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    nincc.compile(model, target=target, out=work / "net", verify=False, **options)
    return work / "net"
