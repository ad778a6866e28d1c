"""Draws what ``nincc bench`` found, with matplotlib (extra ``bench``)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from nincc.bench.result import BenchResult, ProgramResult
from nincc.errors import ToolError, UsageError

FORMATS = (".png", ".svg", ".pdf")
_OURS, _THEIRS, _LIMIT = "#1f6f8b", "#b8b8b8", "#c0392b"


def check_plot(path: Path) -> None:
    """Whether a plot can be drawn at ``path``: UsageError or ToolError before anything is measured."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError("has no known picture ending", where=str(path), hint="use " + " or ".join(FORMATS))
    if not path.resolve().parent.is_dir():
        raise UsageError("its folder does not exist", where=str(path), hint="make the folder first")
    if importlib.util.find_spec("matplotlib") is None:
        raise ToolError("matplotlib is not installed", hint="pip install 'nincc[bench]'")


def plot_bench(result: BenchResult, path: Path) -> None:
    """Median times as bars with p10 to p90 on them and the direct-convolution limit across; layers below."""
    from matplotlib.figure import Figure

    timed = [program for program in result.programs if program.timing]
    panels = 2 if result.layers else 1
    heights = [0.6 * len(timed) + 1.3, *([0.28 * len(result.layers) + 1.0] if result.layers else [])]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    axes = figure.subplots(panels, 1, squeeze=False, height_ratios=heights)
    _draw_programs(axes[0][0], result, timed)
    if result.layers:
        _draw_layers(axes[1][0], result)
    # A fixed date and hash salt, so that the same result gives the same file.
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def _draw_programs(axes: Any, result: BenchResult, timed: list[ProgramResult]) -> None:
    timings = [program.timing for program in timed if program.timing]
    medians = [timing.median * 1e3 for timing in timings]
    low = [(timing.median - timing.p10) * 1e3 for timing in timings]
    high = [(timing.p90 - timing.median) * 1e3 for timing in timings]
    colours = [_OURS if program is result.ours else _THEIRS for program in timed]
    axes.barh(range(len(timed)), medians, xerr=(low, high), color=colours, capsize=3)
    axes.set_yticks(range(len(timed)), [_label(result, program) for program in timed])
    axes.invert_yaxis()
    limit = result.peak.direct_limit(result.macs) * 1e3
    axes.axvline(limit, color=_LIMIT, linestyle="--")
    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    axes.set_title(f"{result.model}, batch {result.batch}, {threads}, {result.target}, on {result.machine.cpu}")
    axes.set_xlabel(f"ms an inference, median, p10 to p90; dashed: direct convolution at the FMA peak ({limit:.2f})")


def _label(result: BenchResult, program: ProgramResult) -> str:
    assert program.timing is not None
    text = f"{program.name} {program.version}\n{program.timing.median * 1e3:.2f} ms"
    ratio = result.ratio(program)
    return text if program is result.ours or ratio is None else f"{text}, ours: {ratio:.2f} of it"


def _draw_layers(axes: Any, result: BenchResult) -> None:
    """A bar a kernel, and on it a mark at the time of its own multiplications at the FMA peak."""
    positions = range(len(result.layers))
    axes.barh(positions, [layer.seconds * 1e6 for layer in result.layers], color=_OURS)
    marked = [index for index in positions if result.layers[index].macs]
    limits = [result.layers[index].limit * 1e6 for index in marked]
    axes.plot(limits, marked, "|", color=_LIMIT, markersize=12, markeredgewidth=2)
    axes.set_yticks(positions, [f"{layer.layer or '-'}: {layer.algorithm}" for layer in result.layers])
    axes.invert_yaxis()
    axes.set_xlabel("µs a kernel, median; red: its own multiply-adds at the FMA peak")
