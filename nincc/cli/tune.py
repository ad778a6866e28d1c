"""``nincc tune``: measures kernels and keeps what it finds as records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nincc.cli.common import json_option, note, show, table, target_option
from nincc.gpu_target import GpuTarget

_COMPILE_OPTIONS = ("batch", "threads", "error_budget")


@click.command()
@click.argument("model")
@target_option
@click.option(
    "--records", type=click.Path(path_type=Path), metavar="FILE", help="Where they go; default NAME.<target>.jsonl."
)
@click.option(
    "--trials", default=300, show_default=True, type=click.IntRange(0), metavar="N", help="Kernels to try in all."
)
@click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(1), metavar="S", help="Most seconds of a trial."
)
@click.option(
    "--early-stop", default=40, show_default=True, type=click.IntRange(1), metavar="K",
    help="Trials of a task without a gain after which it is left.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the data and of the search.")
@click.option("--dry-run", is_flag=True, help="Only list the tasks and the sizes of their spaces.")
@click.option("--runner", type=click.Choice(["local", "rpc", "static"]), default="local", show_default=True)
@click.option("--tracker", default="", metavar="HOST:PORT", help="TVM's RPC tracker (rpc).")
@click.option("--key", default="", metavar="K", help="The boards' key there (rpc).")
@click.option("--batch", type=int, metavar="N", help="Pin a dynamic batch (default 1).")
@click.option("--threads", default=4, show_default=True, metavar="N", help="As the net will be compiled with.")
@click.option("--error-budget", default=1e-5, show_default=True, metavar="E", help="As the net will be compiled with.")
@json_option
def command(model: str, target: str, records: Path | None, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Try kernels for each layer of MODEL, an ONNX file, and keep every trial in a file of records.

    Every kernel's output is compared with a float64 reference before its time counts. Interrupted or killed, the
    same command goes on where it stopped. 'nincc compile --schedules FILE' uses the records.
    """
    from nincc.api import compile_options
    from nincc.tune.options import TuneOptions
    from nincc.tune.tuner import plan, tune

    compile_as = compile_options(target, **{name: given.pop(name) for name in _COMPILE_OPTIONS})
    if dry_run:
        net, tasks = plan(Path(model), compile_as)
        data = {"model": net.name, "tasks": [asdict(task) for task in tasks]}
        show(data, as_json, lambda: _spaces(tasks))
        return
    with _live() as tell:
        result = tune(Path(model), records, compile_as, TuneOptions(**given), tell)
    for text in result.notes:
        note(text)
    show(asdict(result), as_json, lambda: _closing(result, isinstance(compile_as.target, GpuTarget)))


def _spaces(tasks: Any) -> str:
    rows = [
        (task.name, ", ".join(task.layers), f"{task.macs:,}", f"{task.points:,}", " ".join(task.algorithms))
        for task in tasks
    ]
    return table(rows, ("task", "layers", "MACs", "kernels", "algorithms"), right=(2, 3))


def _closing(result: Any, gpu: bool) -> str:
    """The tasks before and after, then the net as it was measured."""
    peak = result.peak_gflops
    counted = any(task.rule_instructions for task in result.tasks)
    more = ("instructions/rule",) if counted else ()
    header = (
        "task", "layers", "rule us", "best us", "best/rule", *more, "GFLOPS", "of peak", "trials", "failed", "kernel"
    )  # fmt: skip
    rows = [
        (
            task.name,
            ", ".join(task.layers),
            _microseconds(task.rule),
            _microseconds(task.best),
            _share(task.gain),
            *((_share(task.instruction_share),) if counted else ()),
            f"{task.gflops(task.best):.1f}",
            f"{task.gflops(task.best) / peak:.0%}" if peak and task.best else "-",
            task.trials,
            task.failed,
            task.schedule,
        )
        for task in result.tasks
    ]
    lines = [table(rows, header, right=range(2, len(header) - 1)), "", f"{result.trials} trials in {result.records}"]
    if any(task.estimated for task in result.tasks):
        lines.append("times are estimates of the static runner, not measurements")
    if counted:
        lines.append("the best kernel is that of the least time and instructions, weighed as by the cost rule")
    if result.net is not None:
        before, after = result.net.before * 1e3, result.net.after * 1e3
        how = "estimated" if result.net.estimated else "measured on the GPU" if gpu else "measured, 1 thread"
        lines.append(
            f"whole net, {how}: {before:.3f} ms by the rule, {after:.3f} ms by these records"
            f" ({after / before:.3f} of it)"
        )
        if result.net.before_instructions:
            were, are = result.net.before_instructions / 1e6, result.net.after_instructions / 1e6
            lines.append(f"its instructions: {were:.1f} M by the rule, {are:.1f} M by these records")
    return "\n".join(lines)


def _share(share: float | None) -> str:
    return f"{share:.3f}" if share else "-"


def _microseconds(seconds: float | None) -> str:
    return f"{seconds * 1e6:.1f}" if seconds else "-"


@contextmanager
def _live() -> Iterator[Callable[[Any], None]]:
    """A line a task on stderr, kept up to date, on a terminal only; gives the function to tell of progress."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), transient=True, refresh_per_second=4) as live:
        yield lambda progress: live.update(_lines(progress))


def _lines(progress: Any) -> Any:
    """The tasks as they stand: best and last GFLOPS, the best's share of the peak, trials, and the time left."""
    from rich.table import Table

    minutes, seconds = divmod(int(progress.remaining), 60)
    title = f"trial {progress.done} of {progress.total}, at most {minutes}:{seconds:02d} left"
    lines = Table(title=title, box=None, title_justify="left")
    for name in ("task", "best GFLOPS", "now", "of peak", "of the rule", "trials"):
        lines.add_column(name, justify="left" if name == "task" else "right")
    for index, task in enumerate(progress.tasks):
        best, peak = task.gflops(task.best), progress.peak_gflops
        lines.add_row(
            task.name,
            f"{best:.1f}",
            f"{task.gflops(task.now):.1f}" if task.trials else "-",
            f"{best / peak:.0%}" if peak else "-",
            f"{task.gain:.2f}" if task.gain else "-",
            str(task.trials),
            style="bold" if index == progress.last else None,
        )
    return lines
