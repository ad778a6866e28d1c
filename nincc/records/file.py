"""Reading and writing a records file, whatever a killed process left of it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nincc.errors import UsageError
from nincc.records.format import Entry, Header, Refused


@dataclass(frozen=True)
class Contents:
    """What a file holds.  ``bad`` are its torn and corrupt lines (number, text, why), ``refused`` those of another
    version (number, why).
    """

    path: Path
    header: Header | None
    entries: tuple[Entry, ...] = ()
    bad: tuple[tuple[int, str, str], ...] = ()
    refused: tuple[tuple[int, str], ...] = ()

    @property
    def warnings(self) -> list[str]:
        """A sentence for each line that was left out."""
        torn = [f"{self.path.name}:{number}: line set aside: {why}" for number, _, why in self.bad]
        return torn + [f"{self.path.name}:{number}: refused: {why}" for number, why in self.refused]


@dataclass
class _Reader:
    header: Header | None = None
    entries: list[Entry] = field(default_factory=list)
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)

    def take(self, number: int, line: str) -> None:
        try:
            if line.startswith("#"):
                header = Header.parse(line)
                self.header = self.header or header
            else:
                self.entries.append(Entry.parse(line, number, self.header.kernels if self.header else None))
        except Refused as why:
            if line.startswith("#"):
                raise
            self.refused.append((number, str(why)))
        except Exception as why:  # a torn line may be anything
            self.bad.append((number, line, str(why) or type(why).__name__))


def read_records(path: Path) -> Contents:
    """Every whole line of the file; torn and corrupt ones are set aside, never an error.

    Raises UsageError where the file cannot be read or its header is of another format or version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror}", where=str(path)) from error
    reader = _Reader()
    lines = data.decode(errors="replace").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            reader.take(number, line)
        except Refused as why:
            raise UsageError(str(why), where=str(path), hint="tune again, to another file") from why
    if reader.entries and reader.header is None:
        raise UsageError("has no header, so it does not say what target it is for", where=str(path))
    return Contents(path, reader.header, tuple(reader.entries), tuple(reader.bad), tuple(reader.refused))


def write_records(path: Path, header: Header, lines: Iterable[str]) -> None:
    """Replaces the file at once: whoever reads it sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(header.line())
            file.writelines(line.rstrip("\n") + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """The file, made where it is missing, opened to append and held by this process alone: gives its descriptor.

    The kernel lets go of the lock when the process ends, however it ends.  UsageError while another one holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _open_locked(path)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise UsageError(
                "another nincc is writing to it", where=str(path), hint="wait for it, or name another --records"
            ) from error
        raise UsageError(f"cannot write it: {error.strerror}", where=str(path)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # replaced between opening and locking: that lock holds nothing


class RecordsFile:
    """A file that a tuner appends to.  Use it within :func:`opened`."""

    def __init__(self, path: Path, descriptor: int, contents: Contents) -> None:
        self.path = path
        self.contents = contents
        self._descriptor = descriptor
        self._lines = 1 + len(contents.entries) + len(contents.refused)

    def append(self, line: str) -> int:
        """Adds a line by one write and brings it to the disk; gives its number."""
        os.write(self._descriptor, (line.rstrip("\n") + "\n").encode())
        os.fsync(self._descriptor)
        self._lines += 1
        return self._lines


@contextmanager
def opened(path: Path, header: Header) -> Iterator[RecordsFile]:
    """The file for a tuner alone, whole: torn lines go to ``<name>.bad``, and a new file gets ``header``.

    Raises UsageError while another tuner has it, or where its records are of another format or target.
    """
    with locked(path):
        contents = read_records(path)
        if contents.header is not None and contents.header.target != header.target:
            raise UsageError(
                f"it holds records for target {contents.header.target['name']}, not {header.target['name']}",
                where=str(path),
                hint="name another --records",
            )
        if contents.bad or contents.header is None:
            _mend(contents, header)
    with locked(path) as descriptor:
        yield RecordsFile(path, descriptor, read_records(path))


def _mend(contents: Contents, header: Header) -> None:
    """Rewrites the file with its whole lines only; the others are on the disk, aside, before."""
    path = contents.path
    if contents.bad:
        with open(path.with_name(path.name + ".bad"), "a", encoding="utf-8") as aside:
            aside.writelines(f"{line}\n" for _, line, _ in contents.bad)
    bad = {number for number, _, _ in contents.bad}
    lines = path.read_bytes().decode(errors="replace").split("\n")
    kept = [line for n, line in enumerate(lines, 1) if line.strip() and n not in bad and not line.startswith("#")]
    write_records(path, contents.header or header, kept)
