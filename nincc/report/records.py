"""Draws a records file with matplotlib: how the tasks' times fell, and where they stand under the roofs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nincc.records.edit import Summary
from nincc.records.format import Header

_PARTS = 2


def draw_records(header: Header, found: Sequence[Summary], path: Path) -> None:
    """Left: the running best of each task as a share of its first score.  Right: the roofline."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.5), layout="constrained")
    left, right = figure.subplots(1, _PARTS)
    estimated = " (estimates)" if header.runner == "static" else ""
    figure.suptitle(f"{header.model.get('name', 'tuned records')}, {header.target['name']}{estimated}")
    _convergence(left, found)
    _roofline(right, header, [summary for summary in found if summary.best])
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def _convergence(axes: Any, found: Sequence[Summary]) -> None:
    for summary in found:
        scores = [so_far.score(1) for so_far in summary.running if so_far is not None]
        if scores:
            axes.step(range(1, len(scores) + 1), [score / scores[0] for score in scores], where="post",
                      label=str(summary.workload))  # fmt: skip
    counted = any(summary.best and summary.best.entry.instructions for summary in found)
    axes.set_xlabel("trials of the task")
    what = "time and energy" if counted else "time"
    axes.set_ylabel(f"best {what} so far as a share of the first, the cost rule's")
    axes.legend(fontsize=7)


def _roofline(axes: Any, header: Header, found: Sequence[Summary]) -> None:
    """Operations are those of the direct algorithm, so that Winograd may stand above the peak of multiply-adds."""
    for summary in found:
        axes.plot(summary.intensity, summary.gflops, "o", label=str(summary.workload))
    low = min((summary.intensity for summary in found), default=1.0) / 2
    high = max((summary.intensity for summary in found), default=10.0) * 2
    if header.peak_gflops and header.read_gbs:
        knee = header.peak_gflops / header.read_gbs
        xs = sorted({min(low, knee), knee, max(high, knee)})
        axes.plot(xs, [min(header.peak_gflops, x * header.read_gbs) for x in xs], "k--", linewidth=1)
        axes.annotate(f"FMA peak {header.peak_gflops:g} GFLOPS, memory {header.read_gbs:g} GB/s",
                      (xs[1], header.peak_gflops), fontsize=7, va="bottom")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations a byte of input, weights and output")
    axes.set_ylabel("GFLOPS, operations as the graph defines them")
    axes.legend(fontsize=7)
