"""``nincc run``: an artefact on arrays or pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nincc.cli.common import device_option, existing, json_option, note, shape_text, show

MOST_CLASSES = 5


@click.command()
@click.argument("artefact")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    required=True,
    metavar="F.npz|PICTURE",
    help="Arrays by input name, or pictures: one for each image of the batch, in order.",
)
@click.option("--resize", is_flag=True, help="Stretch pictures to the input's size.")
@click.option("--output", metavar="F.npz", help="Write the outputs, by name.")
@click.option("--maps", metavar="DIR", help="Write a heat map a class; needs a compile with --keep-maps.")
@click.option("--threads", default=1, show_default=True, metavar="N", help="Threads of the library.")
@device_option
@json_option
def command(
    artefact: str,
    inputs: tuple[str, ...],
    resize: bool,
    output: str | None,
    maps: str | None,
    threads: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Run ARTEFACT, a compiled folder, and show the highest outputs.

    A picture becomes float32 in 0..1 (its bytes / 255), channels in the order R, G, B, or one channel of
    grey where the input has one. It must be of the input's size, or --resize stretches it. For anything else,
    such as means to subtract, give an .npz file.
    """
    from nincc.report.heatmap import class_maps_of, write_maps
    from nincc.report.runs import Run, top_classes, write_outputs

    net = Run(existing(artefact), threads, device)
    arrays = net.read([Path(name) for name in inputs], resize)
    results = net(arrays)
    written = [write_outputs(Path(output), results)] if output else []
    if maps:
        size = net.inputs[0].shape[-2:]
        written += write_maps(Path(maps), class_maps_of(net.manifest, results), (size[0], size[1]))
    data = top_classes(results, MOST_CLASSES)
    if net.device != "native":
        note(f"ran on {net.device}")
    result = {"device": net.device, "outputs": data, "files": list(map(str, written))}
    show(result, as_json, lambda: _text(data, written))


def _text(outputs: list[dict[str, Any]], written: list[Path]) -> str:
    lines = []
    for output in outputs:
        lines.append(f"{output['name']}  {shape_text(output['shape'])}")
        for image, ranked in enumerate(output["top"]):
            classes = ", ".join(f"class {entry['class']}: {entry['value']:.4g}" for entry in ranked)
            lines.append(f"  image {image}  {classes}")
    return "\n".join(lines + [f"wrote {path}" for path in written])
