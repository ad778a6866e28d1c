"""What the commands share: JSON or text on stdout, notes and progress on stderr, tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from nincc.progress import OnProgress

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def device_option(command: Any) -> Any:
    """``--device``, as the commands that run an artefact take it."""
    return click.option(
        "--device",
        metavar="D",
        help="What runs it: native, qemu-user or unicorn; without it, the best there is for its target.",
    )(command)


def target_option(command: Any) -> Any:
    """``--target``, as compile and explain take it."""
    return click.option(
        "--target",
        default="x86",
        show_default=True,
        metavar="T",
        help="The machine: a name that 'nincc targets' lists, native, or a TOML file.",
    )(command)


def show(data: Any, as_json: bool, text: Callable[[], str]) -> None:
    """The result on stdout: ``data`` as JSON, or what ``text`` makes for people."""
    click.echo(json.dumps(data, indent=1, ensure_ascii=False, default=str) if as_json else text())


def note(text: str) -> None:
    """A sentence on stderr that the user should know, once."""
    click.echo(f"note: {text}", err=True)


def table(rows: Sequence[Sequence[object]], header: Sequence[str], right: Sequence[int] = ()) -> str:
    """Columns of text; those whose index is in ``right`` are flush right."""
    lines = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def shape_text(shape: Sequence[int]) -> str:
    """1 x 3 x 32 x 32."""
    return " x ".join(str(extent) for extent in shape)


def bytes_text(count: int) -> str:
    """Bytes for people, exact below a kilobyte."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:,.1f} kB" if count < 1e6 else f"{count / 1e6:,.2f} MB"


@contextmanager
def progress(title: str) -> Iterator[OnProgress]:
    """A line on stderr that says what is being done, on a terminal only; gives the function to call."""
    if not sys.stderr.isatty():
        yield lambda doing, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def update(doing: str, done: int, total: int) -> None:
            bar.update(task, description=f"{title}: {doing}", completed=done, total=total or None)

        yield update


def existing(path: str) -> Path:
    """The path, if something is there; a usage error that names it otherwise."""
    found = Path(path)
    if not found.exists():
        from nincc.errors import UsageError

        raise UsageError("no such file or folder", where=path)
    return found
