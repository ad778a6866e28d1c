"""The options that ``compile`` and ``explain`` share.  Their names are fields of CompileOptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

_PASS_OPTIONS = (
    click.option("--batch", type=int, metavar="N", help="Pin a dynamic batch (default 1)."),
    click.option("--threads", default=4, show_default=True, metavar="N", help="The most a context may use."),
    click.option(
        "--schedules",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Tuned records to prefer over the shipped ones.",
    ),
    click.option("--strict-schedules", is_flag=True, help="Fail where a kernel has no tuned record."),
    click.option(
        "--error-budget",
        default=1e-5,
        show_default=True,
        metavar="E",
        help="The share of a layer's largest output that its convolution algorithm may be off by.",
    ),
    click.option(
        "--optimize",
        type=click.Choice(["speed", "size"]),
        default="speed",
        show_default=True,
        help="size keeps weights at their ONNX size.",
    ),
    click.option("--keep-maps", is_flag=True, help="Keep the class maps as a further output, for run --maps."),
    click.option(
        "--dump-ir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Write the module after each pass there.",
    ),
)


def pass_options(command: Any) -> Any:
    """Adds the options that decide what the passes do."""
    for option in reversed(_PASS_OPTIONS):
        command = option(command)
    return command
