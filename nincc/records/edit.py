"""What ``nincc records`` does with files: the best of them, all of them in one, a summary.  Lines stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nincc.errors import UsageError
from nincc.records.book import Timed, timed
from nincc.records.file import Contents, locked, read_records, write_records
from nincc.records.format import Entry, Header
from nincc.records.spaces import space_of
from nincc.records.workload import Workload

SHIPPED_THREADS = (1, 2, 4)
"""The thread counts whose best kernels a pruned file keeps: up to compile's default."""
GAIN_TIMED, GAIN_ESTIMATED = 0.97, 0.99
"""A kernel within this share of the cost rule's is no better.  Timings are of kernels alone: six nets that took every
kernel timed 1 % faster ran in 0.98 to 1.04 of the time that the rule's take."""
SMALLER_ERROR = 4.0
"""A pruned file also keeps the best kernel of a predicted error this many times smaller, for smaller budgets."""


def read_all(paths: Sequence[Path]) -> list[Contents]:
    """The files' contents; UsageError unless all have records of one target, and all measured or all estimated."""
    contents = [read_records(path) for path in paths]
    for each in contents:
        if each.header is None:
            raise UsageError("holds no records", where=str(each.path))
    first = contents[0].header
    assert first is not None
    for each in contents[1:]:
        assert each.header is not None
        if each.header.target != first.target:
            names = f"target {each.header.target['name']}, not {first.target['name']}"
            raise UsageError(f"holds records for another machine: {names}", where=str(each.path))
        if (each.header.runner == "static") != (first.runner == "static"):
            raise UsageError(f"holds records of runner {each.header.runner}, not {first.runner}", where=str(each.path))
    return contents


def merged(contents: Sequence[Contents]) -> tuple[Header, list[Entry]]:
    """One header and every trial once, in the files' order."""
    entries = {entry.text: entry for each in contents for entry in each.entries}
    headers = [each.header for each in contents if each.header is not None]
    models = {header.model.get("sha256") for header in headers}
    header = headers[0] if len(models) == 1 else replace(headers[0], model={})
    machines = {each.machine for each in headers}
    return header if len(machines) == 1 else replace(header, machine="several"), list(entries.values())


def best_entries(entries: Iterable[Entry]) -> list[Entry]:
    """For each workload its best kernels' last records: for one, two and four threads, and of a far smaller error."""
    kept: list[Entry] = []
    for kernels in timed(entries).values():
        best = [_best(kernels, threads) for threads in SHIPPED_THREADS]
        bar = _error(best[0]) / SMALLER_ERROR
        exact = [kernel for kernel in kernels if _error(kernel) <= bar]
        if exact:
            best.append(_best(exact, SHIPPED_THREADS[0]))
        kept += [kernel.entry for kernel in best]
    return list({entry.text: entry for entry in kept}.values())


def _best(kernels: Sequence[Timed], threads: int) -> Timed:
    """The one of the least score; the first that was tried, the cost rule's, where that gains next to nothing on it."""
    first, best = kernels[0], min(kernels, key=lambda kernel: kernel.score(threads))
    gain = GAIN_ESTIMATED if first.entry.estimated else GAIN_TIMED
    return best if best.score(threads) <= gain * first.score(threads) else first


def _error(kernel: Timed) -> float:
    return space_of(kernel.entry.task).error(kernel.entry.knobs)


def export(paths: Sequence[Path], out: Path) -> int:
    """Writes the best records of the files, and of what ``out`` holds already, to ``out``: what a wheel ships."""
    with locked(out):
        present = [out] if out.stat().st_size else []
        header, entries = merged(read_all([*paths, *present]))
        best = best_entries(entries)
        write_records(out, header, [entry.text for entry in best])
    return len(best)


def merge(paths: Sequence[Path], out: Path) -> int:
    """Writes every trial of the files to ``out``, each once; what ``out`` held is replaced."""
    header, entries = merged(read_all(paths))
    with locked(out):
        write_records(out, header, [entry.text for entry in entries])
    return len(entries)


def prune(path: Path) -> tuple[int, int]:
    """Leaves only the best records in the file; gives how many trials it had and has."""
    with locked(path):
        header, entries = merged(read_all([path]))
        best = best_entries(entries)
        write_records(path, header, [entry.text for entry in best])
    return len(entries), len(best)


@dataclass(frozen=True)
class Summary:
    """A workload's trials: the best of them so far after each (None before any ran right), and the best kernel."""

    workload: Workload
    trials: int
    failed: int
    best: Timed | None
    running: tuple[Timed | None, ...]

    @property
    def gflops(self) -> float:
        """Billions of operations a second of the best, as the graph defines the layer."""
        return 2e-9 * self.workload.macs / self.best.seconds if self.best else 0.0

    @property
    def intensity(self) -> float:
        """Operations a byte that must be moved."""
        return 2 * self.workload.macs / self.workload.bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        best = self.best.entry if self.best else None
        return {
            "workload": str(self.workload),
            "trials": self.trials,
            "failed": self.failed,
            "seconds": self.best.seconds if self.best else None,
            "estimated": bool(best and best.estimated),
            "instructions": best.instructions if best else 0,
            "gflops": self.gflops,
            "line": best.number if best else None,
            "knobs": dict(best.knobs) if best else {},
            "running_best": [so_far and so_far.seconds for so_far in self.running],
        }


def summaries(entries: Sequence[Entry]) -> list[Summary]:
    """A summary a workload, in the order of their first trials."""
    groups: dict[Workload, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.task.workload, []).append(entry)
    best = timed(entries)
    return [
        Summary(
            workload,
            len(group),
            sum(entry.seconds is None for entry in group),
            min(best.get(workload, ()), key=lambda kernel: kernel.score(kernel.entry.task.threads), default=None),
            _running_best(group),
        )
        for workload, group in groups.items()
    ]


def _running_best(group: Sequence[Entry]) -> tuple[Timed | None, ...]:
    """By single trials, and for one thread."""
    running: list[Timed | None] = []
    best: Timed | None = None
    for entry in group:
        trial = None if entry.seconds is None else Timed(entry, entry.seconds)
        if trial is not None and (best is None or trial.score(1) < best.score(1)):
            best = trial
        running.append(best)
    return tuple(running)
