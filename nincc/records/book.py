"""The look-up: the best record of a layer, from ``--schedules``, then from the shipped file.

A kernel that was timed several times counts with the median; the best one is that of the least score (see
:mod:`nincc.records.score`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from nincc.errors import UsageError
from nincc.options import CompileOptions
from nincc.records.file import Contents, read_records
from nincc.records.format import Entry, Refused
from nincc.records.score import score
from nincc.records.spaces import space_of
from nincc.records.workload import Workload
from nincc.resources import schedules_dir
from nincc.target import AnyTarget


@dataclass(frozen=True)
class Timed:
    """A kernel's record: the median of its trials' times, and the trial nearest to it."""

    entry: Entry
    seconds: float

    def score(self, threads: int) -> float:
        """What it is compared by where ``threads`` threads share the work; see :func:`nincc.records.score.score`."""
        imbalance = space_of(self.entry.task).imbalance(self.entry.knobs, threads)
        return score(self.seconds, self.entry.issue, imbalance)


def timed(entries: Iterable[Entry]) -> dict[Workload, list[Timed]]:
    """The kernels that ran right, by workload.  A kernel that ever crashed or was wrong is none of them."""
    trials: dict[Any, list[Entry]] = {}
    for entry in entries:
        trials.setdefault(entry.key, []).append(entry)
    found: dict[Workload, list[Timed]] = {}
    for group in trials.values():
        right = [entry for entry in group if entry.seconds is not None]
        if right and not any(entry.condemns for entry in group):
            middle = median(entry.seconds or 0.0 for entry in right)
            apart = [abs((entry.seconds or 0.0) - middle) for entry in right]
            nearest = right[apart.index(min(apart))]
            found.setdefault(nearest.task.workload, []).append(Timed(nearest, middle))
    return found


@dataclass(frozen=True)
class Found:
    """A layer's record and where it stands."""

    timed: Timed
    file: str
    error: float

    @property
    def reason(self) -> str:
        """``record x86-64-v3.jsonl:12: F(4, 5), 412.0 us``; an estimate says so, a GPU's its instructions too."""
        entry = self.timed.entry
        how = f"{self.timed.seconds * 1e6:.1f} us" + (" estimated" if entry.estimated else "")
        how += f", {entry.instructions * 1e-6:.1f} M instructions" if entry.instructions else ""
        return f"record {self.file}:{entry.number}: {space_of(entry.task).algorithm(entry.knobs)}, {how}"


@dataclass(frozen=True)
class Book:
    """The records of all sources, the first named first.  ``notes`` tell what of them was refused."""

    sources: tuple[tuple[str, dict[Workload, list[Timed]]], ...] = ()
    notes: tuple[str, ...] = field(default=())

    def find(self, workload: Workload, options: CompileOptions) -> Found | None:
        """The best record within the options' error budget and size; a source that has any is the last one asked."""
        for name, kernels in self.sources:
            fitting = [kernel for kernel in kernels.get(workload, ()) if _fits(kernel, options)]
            if fitting:
                best = min(fitting, key=lambda kernel: kernel.score(options.threads))
                return Found(best, name, space_of(best.entry.task).error(best.entry.knobs))
        return None


def _fits(kernel: Timed, options: CompileOptions) -> bool:
    space, knobs = space_of(kernel.entry.task), kernel.entry.knobs
    if not space.fits(knobs, options.target):
        return False
    return space.plain(knobs) or (options.optimize != "size" and space.error(knobs) <= options.error_budget)


def book_for(options: CompileOptions) -> Book:
    """The records that a compile with these options looks in.

    Raises UsageError where the file of ``--schedules`` is not for its target or of another version; a shipped file
    that is not is left out, with a note.
    """
    target = options.target
    shipped = schedules_dir() / f"{target.name}.jsonl"
    paths = [(options.schedules, True)] if options.schedules else []
    paths += [(shipped, False)] if options.shipped_schedules and shipped.is_file() else []
    books = [_book(path, _stamp(path), target, named) for path, named in paths]
    return Book(tuple(s for book in books for s in book.sources), tuple(n for book in books for n in book.notes))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror}", where=str(path)) from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16)
def _book(path: Path, stamp: tuple[int, int], target: AnyTarget, named: bool) -> Book:
    """The book of one file; ``stamp`` makes a changed file another one."""
    try:
        contents = records_for(path, target)
    except UsageError as error:
        if named:
            raise
        return Book(notes=(f"shipped records left out: {error}",))
    return Book(((path.name, timed(contents.entries)),), tuple(contents.warnings))


def records_for(path: Path, target: AnyTarget) -> Contents:
    """The records of a file, which must be for ``target``: UsageError else."""
    contents = read_records(path)
    if contents.header is not None:
        try:
            contents.header.require(target)
        except Refused as why:
            raise UsageError(str(why), where=str(path), hint=f"tune for {target.name}") from why
    return contents
