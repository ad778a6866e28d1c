"""Loads a compiled net into this process.  Needs numpy; imports neither TVM nor a compiler."""

from __future__ import annotations

import contextlib
import json
import platform
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nincc.errors import DeviceError, UsageError

Net = Any
"""The ``Net`` class of an artefact's own Python file: ``net(x)`` gives an array, or a tuple of several."""

_loaded: dict[str, tuple[int, int]] = {}
"""The first library that each artefact's Python file loaded, by device and inode."""


def load(path: str | Path, threads: int = 1) -> Net:
    """The net of the artefact in folder ``path``, as its own Python file gives it.

    Runs that file's code, so load only artefacts you trust.  Raises UsageError when the folder is no
    artefact, ValueError for a wrong number of threads, DeviceError when this machine cannot run the net.
    """
    folder = Path(path)
    module = _module(folder)
    _require_architecture(folder)
    try:
        with _known_to_the_loader(module, folder):
            return module.Net(threads=threads)
    except module.CPUError as error:
        gpu = hasattr(module, "DeviceArray")
        hint = "nincc run and nincc verify do without a GPU" if gpu else "compile for this machine: --target native"
        raise DeviceError(str(error), where=str(path), hint=hint) from error
    except OSError as error:
        raise DeviceError(f"cannot load the library: {error}", where=str(path)) from error


def _require_architecture(folder: Path) -> None:
    """DeviceError where the library is for CPUs of another kind; the loader's own message would not say so."""
    target = json.loads((folder / "manifest.json").read_bytes()).get("target", {})
    architecture, machine = str(target.get("triple", "")).split("-")[0], platform.machine()
    if architecture and architecture != machine:
        hint = "'nincc run' and 'nincc verify' emulate ARM; or compile with --target native"
        what = f"it was compiled for {target.get('name')} ({architecture}), and this machine is {machine}"
        raise DeviceError(what, where=str(folder), hint=hint)


@contextlib.contextmanager
def _known_to_the_loader(module: Any, folder: Path) -> Iterator[None]:
    """Gives the module a name for its folder under which the dynamic loader finds the library that is there now.

    The loader goes by names: where a folder was compiled anew since this process loaded from it, the same name
    would give the old library again.
    """
    source = module.__file__
    status = (folder / f"lib{module.__name__}.so").stat()
    identity = (status.st_dev, status.st_ino)
    if _loaded.setdefault(source, identity) == identity:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="nincc-") as place:
        (Path(place) / "artefact").symlink_to(folder.resolve())
        module.__file__ = str(Path(place) / "artefact" / Path(source).name)
        yield
        module.__file__ = source


def _module(folder: Path) -> Any:
    """The artefact's Python file, run without leaving a ``__pycache__`` in the artefact."""
    source = folder.resolve() / f"{_name(folder)}.py"
    module: Any = types.ModuleType(source.stem)
    module.__file__ = str(source)
    try:
        code = compile(source.read_bytes(), str(source), "exec")
    except OSError as error:
        raise UsageError("its Python file is missing", where=str(folder), hint="compile it again") from error
    exec(code, module.__dict__)
    return module


def _name(folder: Path) -> str:
    hint = "give the folder that 'nincc compile -o' wrote"
    try:
        name = json.loads((folder / "manifest.json").read_bytes())["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError("is not an artefact of nincc", where=str(folder), hint=hint) from error
    if not isinstance(name, str) or not name.isidentifier():
        raise UsageError("its manifest has no name", where=str(folder), hint=hint)
    return name
