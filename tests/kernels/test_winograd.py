"""Winograd convolutions of any shape against float64 direct convolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from kernels.harness import assert_close, build_op, lanes_here, packed, target_of, unpacked
from nincc.errors import InternalError
from nincc.kernels.pack_weights import pack_bias
from nincc.kernels.spec import Pooling
from nincc.kernels.winograd_spec import ORDERS, winograd_spec
from nincc.kernels.winograd_weights import pack_winograd


@dataclass(repr=False)
class Layer:
    """A convolution with its attributes, data and weights."""

    attrs: dict
    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def __repr__(self):
        return f"x {self.x.shape}, {self.attrs}"

    @property
    def data(self):
        return self.x if self.attrs["layout"] == "NCHW" else packed(self.x, self.attrs["lanes"])


def reference(layer: Layer) -> np.ndarray:
    """The layer in float64, by sliding windows."""
    a = layer.attrs
    x = layer.x.astype(np.float64)
    pool = Pooling.parse(a["pool"])
    if pool:
        windows = sliding_window_view(x, pool.kernel, (2, 3))[:, :, :: pool.strides[0], :: pool.strides[1]]
        x = windows.max((4, 5)) if pool.kind == "max" else windows.mean((4, 5))
    top, left, bottom, right = a["padding"]
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = sliding_window_view(x, a["kernel"], (2, 3))[:, :, :: a["strides"][0], :: a["strides"][1]]
    y = np.einsum("nchwij,kcij->nkhw", windows, layer.weight.astype(np.float64), optimize=True)
    y += layer.bias[:, None, None]
    limits = {"none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0)}
    return np.clip(y, *limits[a["activation"]])


def make(lanes, batch, channels, size, units, taps, stride, *, seed=0, pool=None, **attrs) -> Layer:
    """Random data and weights of a layer; knobs and everything else in ``attrs``."""
    rng = np.random.default_rng(seed)
    r = -(-taps // stride)
    full = {
        "layout": "NHWC", "channels": channels, "units": units, "kernel": (taps, taps), "strides": (stride, stride),
        "padding": (0, 0, 0, 0), "dilation": (1, 1), "activation": "relu", "pool": str(pool or ""), "lanes": lanes,
        "mr": 4, "tasks": 1, "m": 2, "r": r, "tile_block": 8, "unit_block": 2 * lanes, "order": "tile",
    } | attrs  # fmt: skip
    weight = rng.standard_normal((units, channels, taps, taps)) * np.sqrt(2 / (channels * taps * taps))
    weight = weight.astype(np.float32)
    x = rng.standard_normal((batch, channels, *size)).astype(np.float32)
    return Layer(full, x, weight, rng.standard_normal(units).astype(np.float32))


def check(layer: Layer, tolerance: float = 2e-5) -> np.ndarray:
    """Build the layer's kernel, run it, compare; returns the output.

    Where the CPU has no vectors of the layer's lanes, LLVM makes them of the widest that it has.
    """
    lanes = layer.attrs["lanes"]
    plan = winograd_spec(layer.data.shape, layer.attrs)
    u, bias = pack_winograd(layer.weight, plan), pack_bias(layer.bias, 2 * lanes)
    shapes = [layer.data.shape, u.shape, bias.shape]
    built = build_op(target_of(min(lanes, max(lanes_here()))), "nincc.conv2d_winograd", shapes, **layer.attrs)
    y = built(layer.data, u, bias)
    assert_close(unpacked(y, layer.attrs["units"]), reference(layer), tolerance)
    return y


@st.composite
def layers(draw):
    lanes = draw(st.sampled_from(lanes_here()))
    taps, stride = draw(
        st.sampled_from([(2, 1), (3, 1), (4, 1), (5, 1), (7, 1), (3, 2), (5, 2), (7, 2), (11, 4), (6, 3)])
    )
    r = -(-taps // stride)
    padding = tuple(draw(st.integers(0, taps // 2)) for _ in range(4))
    height, width = draw(st.integers(taps, 22)), draw(st.integers(taps, 22))
    pool = None
    if draw(st.booleans()):
        window = draw(st.integers(2, 3))
        pool = Pooling(draw(st.sampled_from(["max", "avg"])), (window, window), (2, 2), (0, 0, 0, 0), (height, width))
        height, width = (height - 1) * 2 + window, (width - 1) * 2 + window
    return make(
        lanes, draw(st.integers(1, 4)), draw(st.integers(1, 40)), (height, width), draw(st.integers(1, 70)), taps,
        stride, seed=draw(st.integers(0, 99)), pool=pool, padding=padding, m=draw(st.integers(1, 9 - r)), r=r,
        layout=draw(st.sampled_from(["NCHW", "NHWC"])), activation=draw(st.sampled_from(["none", "relu", "relu6"])),
        mr=draw(st.integers(1, 6)), tasks=draw(st.integers(1, 4)), order=draw(st.sampled_from(ORDERS)),
        tile_block=draw(st.integers(1, 40)), unit_block=2 * lanes * draw(st.integers(1, 3)),
    )  # fmt: skip


# Every example compiles a kernel: shrinking would take minutes.
@settings(max_examples=25, derandomize=True, deadline=None, phases=[Phase.generate])
@given(layers())
def test_any_layer(layer):
    check(layer)


@st.composite
def shallow_layers(draw):
    """First layers: so few channels that vectors of the map are short, and that AVX-512 works by columns."""
    shapes = [(3, 1, 4, 4), (5, 1, 4, 3), (5, 1, 2, 4), (2, 1, 6, 3), (4, 2, 3, 1)]
    taps, stride, m, most = draw(st.sampled_from(shapes))
    height, width = draw(st.integers(9, 19)), draw(st.integers(9, 19))
    return make(
        16, draw(st.integers(1, 3)), draw(st.integers(1, most)), (height, width), draw(st.integers(1, 70)), taps,
        stride, seed=draw(st.integers(0, 99)), padding=tuple(draw(st.integers(0, taps // 2)) for _ in range(4)), m=m,
        layout=draw(st.sampled_from(["NCHW", "NHWC"])), activation=draw(st.sampled_from(["none", "relu", "relu6"])),
        tasks=draw(st.integers(1, 4)), order=draw(st.sampled_from(ORDERS)), tile_block=draw(st.integers(1, 20)),
        unit_block=32 * draw(st.integers(1, 3)),
    )  # fmt: skip


@settings(max_examples=12, derandomize=True, deadline=None, phases=[Phase.generate])
@given(shallow_layers())
def test_few_channels_by_columns(layer):
    plan = winograd_spec(layer.data.shape, layer.attrs)
    assert plan.in_registers and plan.stride == 4
    check(layer)


@pytest.mark.parametrize("lanes", lanes_here())
def test_few_channels_take_short_vectors(lanes):
    """Three channels, and six: the first multiple of four lanes that holds them."""
    for channels, stride in ((3, 4), (6, min(2 * lanes, 8))):
        layer = make(lanes, 1, channels, (9, 11), 20, 3, 1, layout="NCHW", padding=(1, 1, 1, 1))
        assert winograd_spec(layer.data.shape, layer.attrs).stride == stride
        check(layer)


@pytest.mark.parametrize("lanes", lanes_here())
@pytest.mark.parametrize("order", ORDERS)
def test_batch_32_in_uneven_blocks(lanes, order):
    check(make(lanes, 32, 5, (5, 6), 3, 3, 1, m=4, tile_block=7, tasks=4, order=order, padding=(1, 1, 1, 1)))


@pytest.mark.parametrize("order", ORDERS)
def test_every_task_count_gives_the_same_bits(order):
    base = {"padding": (1, 1, 1, 1), "m": 2, "tile_block": 5, "unit_block": 16, "order": order}
    one, four = (check(make(8, 2, 9, (13, 9), 40, 3, 1, tasks=tasks, **base)) for tasks in (1, 4))
    assert np.array_equal(one, four)


def test_overhanging_pool_before_the_convolution():
    """A 3/2 ceil-mode max pool whose last window hangs over the edge, as in Caffe's nets."""
    layer = make(8, 1, 12, (8, 8), 16, 3, 1, m=4, padding=(1, 1, 1, 1))
    pooled = np.full((1, 12, 9, 9), -np.inf, np.float32)
    pooled[:, :, :8, :8] = layer.x
    source = make(8, 1, 12, (9, 9), 16, 3, 1, m=4, padding=(1, 1, 1, 1))
    source.x = pooled
    expected = reference(Layer(source.attrs | {"pool": str(Pooling("max", (3, 3), (2, 2), (0,) * 4, (4, 4)))},
                               pooled, layer.weight, layer.bias))  # fmt: skip
    layer.attrs["pool"] = str(Pooling("max", (3, 3), (2, 2), (0, 0, 0, 0), (4, 4)))
    plan = winograd_spec(layer.data.shape, layer.attrs)
    u, bias = pack_winograd(layer.weight, plan), pack_bias(layer.bias, 16)
    built = build_op(target_of(8), "nincc.conv2d_winograd", [layer.data.shape, u.shape, bias.shape], **layer.attrs)
    assert_close(unpacked(built(layer.data, u, bias), 16), expected)


def test_weights_follow_the_kernels_walk():
    """One tap of one phase lands where the plan says; panels are ordered (block, element, panel)."""
    layer = make(4, 1, 3, (12, 12), 20, 3, 1, m=2, unit_block=16)
    plan = winograd_spec(layer.data.shape, layer.attrs)
    u = pack_winograd(layer.weight, plan)
    assert u.shape == (plan.elements * 3, 3, 8) and u.dtype == np.float32
    # Element 0 is point -0: (1 / f0)² times tap (0, 0); panel 1 of block 0 is its second entry.
    scale = float(_corner(plan)) ** 2
    np.testing.assert_allclose(u[1, :, 0], layer.weight[8, :, 0, 0] * scale, rtol=1e-6)
    np.testing.assert_allclose(u[2 * plan.elements, :, 3], layer.weight[19, :, 0, 0] * scale, rtol=1e-6)
    assert not u[2 * plan.elements :, :, 4:].any()


def _corner(plan):
    from nincc.kernels.cook_toom import cook_toom

    return cook_toom(plan.m, plan.r).g[0][0]


@pytest.mark.parametrize(
    "wrong", [{"r": 5}, {"unit_block": 12}, {"order": "any"}, {"kernel": (3, 5)}, {"dilation": (2, 2)}]
)
def test_bad_attributes_are_refused(wrong):
    layer = make(8, 1, 8, (9, 9), 16, 3, 1)
    with pytest.raises(InternalError):
        winograd_spec(layer.data.shape, layer.attrs | wrong)
