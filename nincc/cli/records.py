"""``nincc records``: what there is to do with files of tuned records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nincc.cli.common import json_option, note, show, table

_FILE = click.Path(path_type=Path)
_OUTPUT = click.option("-o", "--output", required=True, type=_FILE, metavar="FILE", help="The file to write.")


@click.group()
def command() -> None:
    """Work on files of tuned records, as 'nincc tune' writes them."""


@command.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@_OUTPUT
@json_option
def export(files: tuple[Path, ...], output: Path, as_json: bool) -> None:
    """Put the best records of FILES, and of what the output holds already, into the output."""
    from nincc.records.edit import export as run

    count = run(files, output)
    show({"output": str(output), "records": count}, as_json, lambda: f"{output}: the {count} best records")


@command.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@_OUTPUT
@json_option
def merge(files: tuple[Path, ...], output: Path, as_json: bool) -> None:
    """Write every trial of FILES to one file, each once."""
    from nincc.records.edit import merge as run

    count = run(files, output)
    show({"output": str(output), "records": count}, as_json, lambda: f"{output}: {count} trials")


@command.command()
@click.argument("file", type=_FILE)
@json_option
def prune(file: Path, as_json: bool) -> None:
    """Leave only the best records of each task in FILE."""
    from nincc.records.edit import prune as run

    before, after = run(file)
    data = {"file": str(file), "before": before, "after": after}
    show(data, as_json, lambda: f"{file}: {after} of {before} trials kept")


@command.command()
@click.argument("file", type=_FILE)
@click.option("--plot", type=_FILE, metavar="F.png", help="Draw convergence and the roofline there (.png, .svg).")
@json_option
def report(file: Path, plot: Path | None, as_json: bool) -> None:
    """Tell what FILE holds: trials, failures and the best kernel of each task."""
    from nincc.bench.plot import check_plot
    from nincc.records.edit import read_all, summaries

    if plot is not None:
        check_plot(plot)
    (contents,) = read_all([file])
    found = summaries(contents.entries)
    if plot is not None:
        from nincc.report.records import draw_records

        draw_records(contents.header, found, plot)  # type: ignore[arg-type]  # read_all refuses a file without
    for text in contents.warnings:
        note(text)
    show([one.to_dict() for one in found], as_json, lambda: _text(contents, found))


def _text(contents: Any, found: Any) -> str:
    from nincc.records.space import knobs_text
    from nincc.records.spaces import space_of

    header = contents.header
    how = "estimated" if header.runner == "static" else f"timed on {header.machine or 'boards behind a tracker'}"
    lines = [f"{header.model.get('name') or 'several models'}, target {header.target['name']}, {how}", ""]
    rows = []
    counted = any(one.best and one.best.entry.instructions for one in found)
    for one in found:
        entry = one.best.entry if one.best else None
        kernel = f"{space_of(entry.task).algorithm(entry.knobs)} {knobs_text(entry.knobs)}" if entry else "-"
        best = f"{one.best.seconds * 1e6:.1f}" if one.best else "-"
        executed = (f"{entry.instructions / 1e6:.1f}" if entry else "-",) if counted else ()
        line = entry.number if entry else "-"
        rows.append((str(one.workload), one.trials, one.failed, best, *executed, f"{one.gflops:.1f}", line, kernel))
    more = ("M instructions",) if counted else ()
    head = ("task", "trials", "failed", "best us", *more, "GFLOPS", "line", "kernel")
    return "\n".join([*lines, table(rows, head, right=range(1, len(head) - 1))])
