"""``nincc inspect``: what a model or an artefact is made of."""

from __future__ import annotations

from typing import Any

import click

from nincc.cli.common import bytes_text, existing, json_option, note, shape_text, show, table
from nincc.errors import UsageError
from nincc.report.counted import counted, times_text


@click.command()
@click.argument("path", metavar="MODEL|ARTEFACT")
@click.option("--batch", type=int, metavar="N", help="Pin a model's dynamic batch (default 1).")
@json_option
def command(path: str, batch: int | None, as_json: bool) -> None:
    """Show a model's layers, shapes, multiply-accumulates and parameters, or an artefact's kernels and memory."""
    from nincc.report.inspect import inspect_artefact, inspect_model

    found = existing(path)
    if found.is_dir():
        if batch is not None:
            raise UsageError("--batch is for models: an artefact's batch is fixed", where=path)
        artefact = inspect_artefact(found)
        show(artefact, as_json, lambda: _artefact(artefact))
        return
    model = inspect_model(found, batch)
    for text in model["notes"]:
        note(text)
    show(model, as_json, lambda: _model(model))


def _model(data: dict[str, Any]) -> str:
    rows = [(layer["name"], layer["op"], shape_text(layer["output_shape"]), *_costs(layer)) for layer in data["layers"]]
    rows.append(("total", "", "", f"{data['macs']:,}", f"{data['parameters']:,}"))
    layers = table(rows, ("layer", "op", "output", "MACs", "parameters"), right=(3, 4))
    return "\n".join((f"{data['name']}, batch {data['batch']}", *_ends(data), "", layers))


def _costs(layer: dict[str, Any]) -> tuple[str, str]:
    """MACs and parameters, blank where there are none."""
    return f"{layer['macs']:,}" if layer["macs"] else "", f"{layer['parameters']:,}" if layer["parameters"] else ""


def _ends(data: dict[str, Any]) -> list[str]:
    return [
        f"{kind[:-1]} {item['name']}  {shape_text(item['shape'])}"
        for kind in ("inputs", "outputs")
        for item in data[kind]
    ]


def _artefact(data: dict[str, Any]) -> str:
    target, proof = data["target"], data["certificate"]
    proven = "not verified" if not data["verified"] else f"verified ({proof['device']}, {proof['inputs']} inputs)"
    steps = counted((step["layer"], step["op"], step["macs"]) for step in data["kernels"])
    rows = [(layer, op + times_text(n), f"{n * macs:,}" if macs else "") for (layer, op, macs), n in steps]
    return "\n".join(
        (
            f"{data['name']}: {data['model']['name']} for {target['name']} ({target['libc']}), {proven}",
            *_ends(data),
            "",
            table([*rows, ("total", "", f"{data['macs']:,}")], ("layer", "kernel", "MACs"), right=(2,)),
            "",
            *_memory(data),
        )
    )


def _context(data: dict[str, Any]) -> tuple[str, int, str]:
    if "device_bytes" in data:
        return "device", data["device_bytes"], "a context's memory on the GPU: weights, workspace, inputs, outputs"
    return "context", data["context_bytes"], "what nin_open_in needs: workspace, threads' state, aligned copies"


def _memory(data: dict[str, Any]) -> list[str]:
    sizes = [
        ("weights", data["weight_bytes"], "constant, in the library"),
        ("workspace", data["workspace_bytes"], "activations and scratch, inside the context"),
        _context(data),
        *((name, size, "file") for name, size in data["file_bytes"].items() if name.startswith("lib")),
    ]
    return [table([(n, bytes_text(size), what) for n, size, what in sizes], ("memory", "size", ""), right=(1,))]
