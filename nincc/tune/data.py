"""A trial's data: inputs as the layers of a net see them, packed for the kernel, and the result in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nincc.kernels.chain_weights import pack_chain, pack_chain_bias
from nincc.kernels.pack_weights import pack_bias, pack_conv2d, pack_gemm
from nincc.kernels.spec import Conv, Pooling, round_up
from nincc.kernels.winograd_weights import pack_winograd
from nincc.records.chain_space import ChainSpace
from nincc.records.conv_space import ConvSpace
from nincc.records.space import Knobs, Space
from nincc.records.workload import CHAIN, CONV, GEMM_POOL, Workload

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MARGIN = 4.0
"""A kernel may be off by this many times the error that its algorithm's table predicts."""
LEAST = 2e-6
"""… and by this share of the largest output in any case."""
GARBAGE = 3.0
"""What stands in the lanes that pad a pixel: no kernel may let it into a result."""


@dataclass(frozen=True)
class Sample:
    """``data`` is NCHW of a convolution, [rows, depth] of a product; the weights are OIHW or [units, depth].

    A chain has several of them.  ``expected`` is [outputs, units]: the rows of the product, or of their means.
    """

    data: Floats
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    expected: Doubles


def make_sample(workload: Workload, seed: int) -> Sample:
    """Rectified normal data, He-scaled normal weights, and what they give."""
    rng = np.random.default_rng(seed)
    data = np.maximum(rng.standard_normal(_data_shape(workload), np.float32), 0)
    weights, biases = [], []
    for shape in _weight_shapes(workload):
        scale = np.float32(np.sqrt(2 / prod(shape[1:])))
        weights.append(rng.standard_normal(shape, np.float32) * scale)
        biases.append(rng.standard_normal(shape[0], np.float32) * np.float32(0.1))
    return Sample(data, tuple(weights), tuple(biases), _expected(workload, data, weights, biases))


def _data_shape(workload: Workload) -> tuple[int, ...]:
    if workload.kind == CONV:
        conv = workload.conv(1)
        return (conv.batch, conv.channels, *conv.size)
    rows, depth, _ = workload.product
    return (rows, workload.args[1] if workload.kind == CHAIN else depth)


def _weight_shapes(workload: Workload) -> list[tuple[int, ...]]:
    if workload.kind == CONV:
        conv = workload.conv(1)
        return [(conv.units, conv.channels, *conv.kernel)]
    if workload.kind == CHAIN:
        _, depth, units = workload.args
        return list(zip(units, (depth, *units[:-1]), strict=True))
    _, depth, units = workload.product
    return [(units, depth)]


def _expected(workload: Workload, data: Floats, weights: Sequence[Floats], biases: Sequence[Floats]) -> Doubles:
    result = data.astype(np.float64)
    if workload.kind == CONV:
        result = columns(workload.conv(1), result)
    for weight, bias in zip(weights, biases, strict=True):
        flat = weight.transpose(0, 2, 3, 1) if workload.kind == CONV else weight
        result = np.maximum(result @ flat.reshape(len(weight), -1).T.astype(np.float64) + bias, 0)
    if workload.kind == GEMM_POOL:
        result = result.reshape(workload.args[0], -1, len(weights[-1])).mean(axis=1)
    return np.asarray(result)


def columns(conv: Conv, data: Doubles) -> Doubles:
    """The im2col matrix [pixels, kernel rows · kernel columns · channels] of an NCHW map, pooled first."""
    if conv.pool is not None:
        data = pooled(conv.pool, data)
    top, left, bottom, right = conv.padding
    padded = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right)))
    spans = tuple((k - 1) * d + 1 for k, d in zip(conv.kernel, conv.dilation, strict=True))
    windows = sliding_window_view(padded, spans, axis=(2, 3))
    (down, across), (below, beside) = conv.strides, conv.dilation
    taken = windows[:, :, ::down, ::across, ::below, ::beside]
    return np.ascontiguousarray(taken.transpose(0, 2, 3, 4, 5, 1)).reshape(-1, prod(conv.kernel) * conv.channels)


def pooled(pool: Pooling, data: Doubles) -> Doubles:
    """The pool of an NCHW map; see :class:`nincc.kernels.spec.Pooling` for its edges."""
    top, left = pool.padding[:2]
    reach = [(out - 1) * step + k for out, step, k in zip(pool.out_size, pool.strides, pool.kernel, strict=True)]
    more = [max(0, r - before - size) for r, before, size in zip(reach, (top, left), data.shape[2:], strict=True)]
    pads = ((0, 0), (0, 0), (top, more[0]), (left, more[1]))
    padded = np.pad(data, pads, constant_values=-np.inf if pool.kind == "max" else 0.0)
    down, across = pool.strides

    def windows(array: Doubles) -> Any:
        view = sliding_window_view(array, pool.kernel, axis=(-2, -1))
        return view[..., ::down, ::across, :, :][..., : pool.out_size[0], : pool.out_size[1], :, :]

    if pool.kind == "max":
        return np.asarray(windows(padded).max(axis=(-2, -1)))
    counted = np.zeros(padded.shape[2:])
    height, width = data.shape[2:]
    counted[top : top + height, left : left + width] = 1
    if pool.count_include_pad:
        counted[: top + height + pool.padding[2], : left + width + pool.padding[3]] = 1
    return np.asarray(windows(padded).sum(axis=(-2, -1)) / windows(counted).sum(axis=(-2, -1)))


def packed(space: Space, knobs: Knobs, sample: Sample) -> tuple[Floats, Floats, Floats]:
    """Data, weight and bias as the kernel of these knobs reads them."""
    lanes, panel = space.task.lanes, 2 * space.task.lanes
    if isinstance(space, ChainSpace):
        layers = space.chain(knobs).layers
        return _padded(sample.data, lanes), pack_chain(sample.weights, layers), pack_chain_bias(sample.biases, layers)
    (weight,), bias = sample.weights, pack_bias(sample.biases[0], panel)
    if not isinstance(space, ConvSpace):
        return _padded(sample.data, lanes), pack_gemm(weight, panel), bias
    plan = space.plan(knobs)
    packed_weight = pack_conv2d(weight, panel) if plan is None else pack_winograd(weight, plan)
    if space.conv.layout == "NCHW":
        return sample.data, packed_weight, bias
    return _padded(sample.data.transpose(0, 2, 3, 1), lanes), packed_weight, bias


def _padded(data: Floats, lanes: int) -> Floats:
    """The last axis filled up to whole vectors."""
    channels = data.shape[-1]
    out = np.full((*data.shape[:-1], round_up(channels, lanes)), GARBAGE, np.float32)
    out[..., :channels] = data
    return out


def outputs_of(workload: Workload) -> int:
    """Rows of the kernel's output: pixels, or images of a gemm_pool."""
    return int(workload.args[0] if workload.kind == GEMM_POOL else workload.product[0])


def error_of(space: Space, knobs: Knobs, sample: Sample, output: Floats) -> tuple[float, float]:
    """The largest error of a kernel's output as a share of the largest value, and the most it may be.

    ``output`` is the flat packed output; NaN (memory never written) counts as infinitely wrong.
    """
    units = space.task.workload.product[2]
    actual = output.reshape(outputs_of(space.task.workload), -1)[:, :units].astype(np.float64)
    difference = np.abs(actual - sample.expected)
    share = float(difference.max() / max(float(np.abs(sample.expected).max()), 1e-30))
    return (share if np.isfinite(share) else float("inf")), max(LEAST, MARGIN * space.error(knobs))


