"""The ``nincc`` calls that tests expect, told in full but for the knobs."""

from __future__ import annotations

from typing import Any

import numpy as np

from nincc.kernels.ops import call
from nincc.kernels.pack_weights import pack_bias, pack_conv2d, pack_gemm
from passes.running import LANES, PANEL, Array, const


def pack(data: Any, layer: str) -> Any:
    return call("nincc.pack", [data], lanes=LANES, layer=layer, macs=0)


def unpack(data: Any, channels: int, layer: str) -> Any:
    return call("nincc.unpack", [data], channels=channels, layer=layer, macs=0)


def gemm(
    data: Any, weight: Array, layer: str, macs: int, bias: Array | None = None, activation: str = "none",
    operator: str = "nincc.gemm",
) -> Any:  # fmt: skip
    """``weight`` is [units, K]."""
    units, depth = weight.shape
    bias = np.zeros(units) if bias is None else bias
    parameters = [const(pack_gemm(weight, PANEL)), const(pack_bias(bias, PANEL))]
    attrs = {"units": units, "channels": depth, "activation": activation, "lanes": LANES, "layer": layer}
    return call(operator, [data, *parameters], **attrs, macs=macs, mr=1, tasks=1)


def conv2d(data: Any, weight: Array, layer: str, macs: int, **given: Any) -> Any:
    """The direct convolution with an OIHW weight; unpadded, undilated, stride 1 unless given."""
    units, channels, height, width = weight.shape
    bias = given.pop("bias", np.zeros(units))
    attrs = {
        "layout": "NHWC", "channels": channels, "units": units, "kernel": (height, width), "strides": (1, 1),
        "padding": (0, 0, 0, 0), "dilation": (1, 1), "activation": "none", "pool": "", "lanes": LANES,
        "layer": layer, "macs": macs, "mr": 1, "tasks": 1,
    } | given  # fmt: skip
    return call("nincc.conv2d", [data, const(pack_conv2d(weight, PANEL)), const(pack_bias(bias, PANEL))], **attrs)


def global_avg_pool(data: Any, layer: str) -> Any:
    return call("nincc.global_avg_pool", [data], lanes=LANES, layer=layer, macs=0)
