"""``nincc explain``: what the passes do, and how each kernel will run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nincc.cli.common import json_option, progress, show, table, target_option
from nincc.cli.options import pass_options
from nincc.report.counted import counted, times_text


@click.command()
@click.argument("model")
@target_option
@pass_options
@json_option
def command(model: str, target: str, as_json: bool, **given: Any) -> None:
    """Show, pass by pass, what changes in MODEL (an ONNX file) and what is declined and why, then each kernel."""
    from nincc.api import explain

    with progress("explain") as tell:
        tell("passes", 0, 0)
        explanation = explain(Path(model), target, **given)
    show(explanation.to_dict(), as_json, lambda: _text(explanation))


def _text(explanation: Any) -> str:
    lines: list[str] = []
    for record in explanation.passes:
        lines.append(record.pass_name if record.changed or record.declined else f"{record.pass_name}: nothing")
        lines += [f"  changed   {text}" for text in record.changed]
        lines += [f"  declined  {text}" for text in record.declined]
    lines += ["", "kernels, in the order they run"]
    for kernel, times in counted(explanation.kernels):
        lines.append(f"  {kernel.layer or '-'}: {kernel.algorithm}{times_text(times)}")
        knobs = ", ".join(f"{key}={_value(value)}" for key, value in kernel.schedule.items() if value != "")
        error = "" if kernel.error is None else f"predicted error {kernel.error:.1e} of the layer's largest output"
        lines += [f"    {text}" for text in (knobs, kernel.reason, error) if text]
    return "\n".join(lines + _launches(explanation.launches))


def _launches(launches: Any) -> list[str]:
    """A GPU's launches, with what the assembler says of each."""
    if not launches:
        return []
    heads = ("kernel", "layer", "blocks", "threads", "registers", "spilled", "shared", "occupancy")
    rows = [
        (one.kernel, one.layer, str(one.launch.blocks), str(one.launch.threads), *_resources(one.resources))
        for one in launches
    ]
    total = f"{len(launches)} launches" + ("" if launches[0].resources else ", no ptxas at hand to tell registers")
    return ["", total, table(rows, heads, right=(2, 3, 4, 5, 6, 7))]


def _resources(resources: Any) -> tuple[str, ...]:
    if resources is None:
        return ("-",) * 4
    return (
        str(resources.registers),
        str(resources.spill_bytes),
        str(resources.shared_bytes),
        f"{resources.occupancy:.0%}",
    )


def _value(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
