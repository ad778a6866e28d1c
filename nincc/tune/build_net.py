"""A whole net as its compile makes it, without the proof: for the time before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nincc.artefact import Build, build_artefact, read_manifest
from nincc.codegen.child import compile_in_child
from nincc.codegen.program import Program
from nincc.frontend.model import Model
from nincc.options import CompileOptions


@dataclass(frozen=True)
class Built:
    """``folder`` is the artefact."""

    folder: Path
    manifest: dict[str, Any]
    program: Program


def plain(options: CompileOptions, records: Path | None) -> CompileOptions:
    """The options of a compile by ``records`` alone, or by the cost rule alone."""
    return replace(
        options, schedules=records, verify=False, strict_schedules=False, dump_ir=None, shipped_schedules=False
    )


def build_net(model: Model, options: CompileOptions, folder: Path) -> Built:
    """Compiles ``model`` into ``folder``, which is made."""
    objects, artefact = folder / "objects", folder / "artefact"
    for path in (objects, artefact):
        path.mkdir(parents=True)
    compiled = compile_in_child(model, options, objects)
    build_artefact(artefact, Build(model, compiled.program, compiled.objects, options, compiled.passes), None)
    return Built(artefact, read_manifest(artefact), compiled.program)
