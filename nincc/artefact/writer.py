"""Builds the artefact of design section 7 in a folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nincc.artefact.manifest import Build, artefact_files, manifest_text, nincc_version
from nincc.artefact.selftest import Selftest, expected_bytes
from nincc.artefact.staging import staged
from nincc.codegen.driver import Driver, artefact_texts, check_name, driver_sources
from nincc.codegen.link import build_libraries
from nincc.codegen.program import Program
from nincc.errors import UsageError
from nincc.options import CompileOptions

if TYPE_CHECKING:
    from nincc.frontend.model import Model
    from nincc.passes.record import PassRecord

__all__ = ["Build", "artefact_files", "build_artefact", "read_manifest", "write_artefact"]


def write_artefact(
    out: Path,
    model: Model,
    program: Program,
    objects: Sequence[Path],
    options: CompileOptions,
    passes: Sequence[PassRecord],
    certificate: Mapping[str, Any] | None,
    selftest: Selftest | None,
    profile: bool = False,
) -> None:
    """Writes the artefact to ``out`` in one step; on any error ``out`` is as it was before."""
    with staged(out) as folder:
        build = Build(model, program, objects, options, passes, certificate, profile)
        build_artefact(folder, build, selftest)


def build_artefact(folder: Path, build: Build, selftest: Selftest | None) -> None:
    """Writes every file of the artefact into ``folder``, replacing those of an earlier build.

    Use it inside :func:`staged` to judge the libraries before they take their place: build without a
    certificate, verify, build again with it.  Kernels and driver keep their bytes; the manifest changes.
    """
    driver = _driver(build, selftest)
    text = manifest_text(build, driver.tolerance)
    with tempfile.TemporaryDirectory(prefix="nincc-link-") as work:
        objects = [path.resolve() for path in build.objects]
        expected = expected_bytes(selftest, build.program)
        build_libraries(driver, objects, expected, text, build.options.libc, Path(work), folder.resolve())
    texts = {**artefact_texts(driver), "manifest.json": text}
    if build.program.device is not None:
        texts["kernels.ptx"] = build.program.ptx
    for file, content in texts.items():
        (folder / file).write_text(content, encoding="utf-8")
    if build.options.dump_ir is not None:
        _dump(driver, build.options.dump_ir)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the artefact in ``folder``; UsageError when there is none."""
    path = folder / "manifest.json"
    hint = "give the folder that 'nincc compile -o' wrote"
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError("is no artefact: it has no manifest.json", where=str(folder), hint=hint) from error
    except ValueError as error:
        raise UsageError("is not JSON", where=str(path), hint=hint) from error
    if not isinstance(manifest, dict) or not {"nincc", "name", "files"} <= set(manifest):
        raise UsageError("is not a manifest of nincc", where=str(path), hint=hint)
    return manifest


def _driver(build: Build, selftest: Selftest | None) -> Driver:
    return Driver(
        name=check_name(build.options.name),
        program=build.program,
        target=build.options.target,
        model=build.model.name,
        sha256=build.model.sha256,
        version=nincc_version(),
        tolerance=None if selftest is None else float(selftest.tolerance),
        profile=build.profile,
    )


def _dump(driver: Driver, folder: Path) -> None:
    """Leaves the generated C beside the dumped IR, for reading."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in driver_sources(driver).items():
        (folder / file).write_text(text, encoding="utf-8")
