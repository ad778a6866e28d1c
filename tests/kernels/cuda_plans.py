"""Random launches: a convolution or GEMM, 1×1 layers behind it, and any cut that the candidates allow."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from kernels import reference
from kernels.cuda_device import GPU, Array, run_operator
from kernels.strategies import activations, poolings
from nincc.emulate.ptx import Counts
from nincc.kernels.cuda.candidates import Layer, Segment, plans
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.plan_attrs import plan_attrs
from nincc.kernels.cuda.weights import pack_launch
from nincc.kernels.spec import Conv, round_up


@st.composite
def segments(draw, pointwise: bool = False) -> Segment:
    """Small geometry, all of it free."""
    channels = draw(st.integers(1, 26))
    batch, size = draw(st.integers(1, 3)), (draw(st.integers(3, 11)), draw(st.integers(3, 11)))
    layers = tuple(Layer(draw(st.integers(1, 40)), draw(activations)) for _ in range(draw(st.integers(1, 3))))
    head = draw(st.sampled_from(["map", "map", "sums", "mean", "softmax"]))
    may_split = head == "map" and len(layers) == 1
    conv = _pointwise(batch, channels, size, layers[0]) if pointwise else draw(_convs(batch, channels, size, layers[0]))
    if not pointwise:
        return Segment(conv, "no", 0, "none", layers, head, may_split)
    flat = "all" if head == "map" else "image"
    images = 1 if flat == "all" else batch
    row = replace(conv, batch=images, size=(1, batch * size[0] * size[1] // images))
    partials = draw(st.sampled_from([0, 0, 2, 3]))
    return Segment(row, flat, partials, draw(activations) if partials else "none", layers, head, may_split)


def _pointwise(batch: int, channels: int, size: tuple[int, int], layer: Layer) -> Conv:
    return Conv(
        "NHWC", batch, channels, size, layer.units, (1, 1), (1, 1), (0,) * 4, (1, 1), None, layer.activation, 4, 1, 1
    )


@st.composite
def _convs(draw, batch: int, channels: int, size: tuple[int, int], layer: Layer) -> Conv:
    pool = draw(poolings(size)) if draw(st.booleans()) else None
    kernel, strides, dilation, padding = [], [], [], []
    for extent in pool.out_size if pool else size:
        apart = draw(st.integers(1, 2))
        taps = draw(st.integers(1, min(5, (extent + 1) // apart)))
        span = (taps - 1) * apart + 1
        before = draw(st.integers(max(0, span - extent), span - 1)) if span > 1 else 0
        kernel.append(taps)
        strides.append(draw(st.integers(1, 3)))
        dilation.append(apart)
        padding.append((before, draw(st.integers(0, span - 1))))
    sides = (padding[0][0], padding[1][0], padding[0][1], padding[1][1])
    layout = (
        draw(st.sampled_from(["NCHW", "NHWC"]))
        if channels <= 4 and pool is None and tuple(kernel) != (1, 1)
        else "NHWC"
    )
    return Conv(
        layout, batch, channels, size, layer.units, tuple(kernel), tuple(strides), sides, tuple(dilation), pool,
        layer.activation, 4, 1, 1,
    )  # fmt: skip


def some_plan(segment: Segment, seed: int) -> Plan | None:
    """One of the candidates, evenly drawn; None where there is none."""
    found = list(plans(segment, GPU))
    return random.Random(seed).choice(found) if found else None


def check_plan(plan: Plan, seed: int = 0) -> Counts:
    """Run ``plan`` on random data and weights, and compare with float64."""
    case = PlanCase(plan, seed)
    result, counts = run_operator("nincc.cuda_mlpconv", [case.source], [case.weights], **plan_attrs(plan))
    case.check(result)
    return counts


class PlanCase:
    """``plan`` with random data and weights, and what must come of them."""

    def __init__(self, plan: Plan, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.plan = plan
        self.source, maps, source_bias = _source(plan, rng)
        layers, channels = [], plan.conv.channels
        for number, stage in enumerate(plan.stages):
            shape = (stage.units, channels, *(plan.conv.kernel if number == 0 else (1, 1)))
            weight = rng.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
            bias = rng.standard_normal(stage.units).astype(np.float32)
            layers.append((weight if number == 0 else weight[:, :, 0, 0], bias))
            channels = stage.units
        self.weights = pack_launch(plan, layers, source_bias)
        self.expected = _expected(plan, maps, layers)

    def check(self, result: Array) -> None:
        """The launch's output, in the operator's shape, against float64."""
        scale = max(1.0, float(np.abs(self.expected).max()))
        np.testing.assert_allclose(_unpacked(self.plan, result), self.expected, rtol=0, atol=2e-5 * scale)
        assert np.isfinite(result).all()


def _source(plan: Plan, rng: np.random.Generator) -> tuple[Array, Array, Array | None]:
    """What the launch reads, the NCHW maps that it stands for, and the bias of partial sums."""
    conv = plan.conv
    shape = (conv.batch, conv.channels, *conv.size)
    stored = round_up(conv.channels, 4)
    if plan.partials:
        parts = rng.standard_normal((plan.partials, conv.batch, *conv.size, stored)).astype(np.float32)
        bias = rng.standard_normal(conv.channels).astype(np.float32)
        maps = parts.astype(np.float64).sum(0)[..., : conv.channels] + bias
        return parts, reference.activate(maps.transpose(0, 3, 1, 2), plan.source_activation), bias
    maps = rng.standard_normal(shape).astype(np.float32)
    if conv.layout == "NCHW":
        return maps, maps, None
    packed = np.full((conv.batch, *conv.size, stored), np.nan, np.float32)
    packed[..., : conv.channels] = maps.transpose(0, 2, 3, 1)
    return packed, maps, None


def _expected(plan: Plan, maps: Array, layers: list[tuple[Array, Array]]) -> Array:
    conv = plan.conv
    y = maps.astype(np.float64)
    if conv.pool is not None:
        y = reference.pool2d(y, conv.pool)
    for number, (stage, (weight, bias)) in enumerate(zip(plan.stages, layers, strict=True)):
        bias = np.zeros_like(bias) if plan.split > 1 else bias
        if number == 0:
            y = reference.conv2d(y, weight, bias, conv.strides, conv.padding, conv.dilation)
        else:
            y = reference.gemm(y, weight, bias)
        if plan.split == 1:
            y = reference.activate(y, stage.activation)
    if plan.epilogue == "map":
        return y
    if plan.epilogue == "sums":
        return y.sum((2, 3))
    mean = y.mean((2, 3))
    powers = np.exp(mean - mean.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True) if plan.epilogue == "softmax" else mean


def _unpacked(plan: Plan, result: Array) -> Array:
    """The result as :func:`_expected` has it."""
    units = plan.stages[-1].units
    values = result.astype(np.float64)
    if plan.split > 1:
        values = values.sum(0)
    if plan.epilogue == "map":
        values = values.reshape(plan.conv.batch, *plan.conv.out_size, -1)
        return values[..., :units].transpose(0, 3, 1, 2)
    if plan.epilogue == "sums":
        values = values.sum(1)
    return values.reshape(plan.conv.batch, -1)[:, :units]
