"""The toy net of tests/codegen as an artefact for ARM: quick to make, nothing of TVM in it."""

from __future__ import annotations

from pathlib import Path

from codegen.toy_net import ToyModel, toy_object, toy_options, toy_program, toy_selftest
from nincc.artefact import write_artefact
from nincc.target import load_target


def toy_artefact(folder: Path, target: str, libc: str = "glibc") -> Path:
    """The artefact in ``folder / target``, with its selftest."""
    work, out = folder / f"{target}-{libc}-work", folder / f"{target}-{libc}"
    work.mkdir()
    options = toy_options(target=load_target(target), libc=libc)
    model, kernels = ToyModel(), [toy_object(work, target)]
    write_artefact(out, model, toy_program(), kernels, options, [], None, toy_selftest())  # type: ignore[arg-type]
    return out
