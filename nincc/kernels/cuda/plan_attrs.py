"""A launch's plan as the attributes of ``nincc.cuda_mlpconv``, there and back.  No TVM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.stage import QUAD, Stage
from nincc.kernels.spec import Conv, Pair, Pooling, sides


def plan_attrs(plan: Plan) -> dict[str, Any]:
    """The attributes of a ``nincc.cuda_mlpconv`` that carry ``plan``."""
    conv, stages = plan.conv, plan.stages
    return {
        "layout": conv.layout, "channels": conv.channels, "kernel": conv.kernel, "strides": conv.strides,
        "padding": conv.padding, "dilation": conv.dilation, "pool": str(conv.pool or ""),
        "gather": plan.gather, "flat": plan.flat, "partials": plan.partials,
        "source_activation": plan.source_activation, "tile": plan.tile, "lanes": plan.lanes,
        "threads": plan.threads, "chunk": plan.chunk, "slices": plan.slices, "splits": plan.splits,
        "units": [s.units for s in stages], "depths": [s.depth for s in stages],
        "activations": " ".join(s.activation for s in stages), "pixels": [s.pixels for s in stages],
        "columns": [s.columns for s in stages], "shares": [s.shares for s in stages],
        "epilogue": plan.epilogue,
    }  # fmt: skip


def plan_of(shape: tuple[int, ...], attrs: Mapping[str, Any]) -> Plan:
    """The plan that :func:`plan_attrs` wrote, for a source of ``shape``."""
    lists = [[int(v) for v in attrs[key]] for key in ("units", "depths", "pixels", "columns", "shares")]
    stages = tuple(
        Stage(units, depth, activation, pixels, columns, shares)
        for units, depth, pixels, columns, shares, activation in zip(
            *lists, str(attrs["activations"]).split(), strict=True
        )
    )
    return Plan(
        source_conv(shape, attrs, stages[0]), str(attrs["gather"]), str(attrs["flat"]), int(attrs["partials"]),
        str(attrs["source_activation"]), _pair(attrs["tile"]), _pair(attrs["lanes"]), int(attrs["threads"]),
        int(attrs["chunk"]), int(attrs["slices"]), _pair(attrs["splits"]), stages, str(attrs["epilogue"]),
    )  # fmt: skip


def source_conv(shape: tuple[int, ...], attrs: Mapping[str, Any], first: Stage) -> Conv:
    """The first layer as a convolution; the pixels of a flat one are a single row."""
    layout = str(attrs["layout"])
    batch, *rest = shape[-4:]
    size = (rest[1], rest[2]) if layout == "NCHW" else (rest[0], rest[1])
    if str(attrs["flat"]) != "no":
        images = batch if str(attrs["flat"]) == "image" else 1
        batch, size = images, (1, batch * size[0] * size[1] // images)
    kernel, strides, dilation = (_pair(attrs[key]) for key in ("kernel", "strides", "dilation"))
    return Conv(
        layout, batch, int(attrs["channels"]), size, first.units, kernel, strides, sides(attrs["padding"]),
        dilation, Pooling.parse(str(attrs["pool"])), first.activation, QUAD, mr=1, tasks=1,
    )  # fmt: skip


def _pair(values: Any) -> Pair:
    first, second = (int(v) for v in values)
    return first, second
