"""Writing a directory atomically: built beside its place, then put there in one step."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nincc.artefact.manifest import manifest_files
from nincc.errors import UsageError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_LITTER = {"__pycache__"}  # what running an artefact's own files leaves in it


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``out`` when the block ends without an error.

    On an error it vanishes, with the parents that were made for it, and what ``out`` held stays untouched.
    An older artefact is replaced; files of the user's own in it are kept.  UsageError when ``out`` is
    something else that exists, or cannot be written.
    """
    out = Path(os.path.realpath(out))
    check_replaceable(out)
    made: list[Path] = []
    folder: Path | None = None
    try:
        _make_parents(out, made)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
        folder.chmod(0o777 & ~_umask())
        yield folder
        _put_in_place(folder, out)
        made.clear()
    except OSError as error:
        what = f"cannot write: {error.strerror}"
        raise UsageError(what, where=str(out), hint="choose another -o") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()


def check_replaceable(out: Path) -> None:
    """UsageError unless ``out`` is free, an empty folder or an artefact of nincc."""
    if not out.exists() or (out.is_dir() and (manifest_files(out) or not any(out.iterdir()))):
        return
    what = "is a folder with other files in it" if out.is_dir() else "is a file"
    raise UsageError(f"{what}; nothing was written", where=str(out), hint="choose another -o")


def _make_parents(out: Path, made: list[Path]) -> None:
    missing = [parent for parent in out.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        made.append(parent)


def _put_in_place(folder: Path, out: Path) -> None:
    """Renames ``folder`` to ``out``; afterwards ``folder`` holds what ``out`` held, if anything."""
    if not out.exists():
        folder.rename(out)
        return
    foreign = _foreign_entries(out)
    _exchange(folder, out)
    for name in foreign:
        if not (out / name).exists():
            (folder / name).rename(out / name)


def _foreign_entries(out: Path) -> list[str]:
    return sorted({entry.name for entry in out.iterdir()} - set(manifest_files(out)) - _LITTER)


def _exchange(first: Path, second: Path) -> None:
    """Swaps two folders of one file system: in one step where the system can, else in three."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    names = os.fsencode(first), os.fsencode(second)
    if renameat2 and renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return
    aside = Path(f"{first}.old")
    second.rename(aside)
    try:
        first.rename(second)
    except OSError:
        aside.rename(second)
        raise
    aside.rename(first)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
