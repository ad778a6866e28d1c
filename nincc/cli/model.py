"""``nincc model``: writes a published NIN as an ONNX file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from nincc.cli.common import json_option, show
from nincc.errors import UsageError


@click.command()
@click.argument("name")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The file to write."
)
@click.option("--batch", default=1, show_default=True, metavar="N", help="Images a run.")
@click.option("--seed", default=0, show_default=True, metavar="S", help="Seed of the weights.")
@json_option
def command(name: str, output: Path, batch: int, seed: int, as_json: bool) -> None:
    """Write one of the published NINs as an ONNX file, with seeded weights of He's scale (not trained).

    NAME is nin-cifar10, nin-cifar100, nin-mnist, nin-svhn, nin-imagenet or nin-d2l.
    """
    from nincc import zoo

    model = zoo.build(name, batch, seed)
    _write(output, model.SerializeToString(deterministic=True))
    net = zoo.NETS[name]
    data = {
        "name": name,
        "file": str(output),
        "batch": batch,
        "seed": seed,
        "macs": net.macs * batch,
        "parameters": net.parameters,
    }
    show(
        data,
        as_json,
        lambda: f"{output}: {name}, {data['macs']:,} multiply-accumulates, {net.parameters:,} parameters",
    )


def _write(path: Path, content: bytes) -> None:
    """The whole file or nothing."""
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"cannot write: {error.strerror}", where=str(path), hint="choose another -o") from error
