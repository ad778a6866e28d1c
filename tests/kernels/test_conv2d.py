"""nincc.conv2d against float64: any kernel, stride, dilation, padding, layout, fused pool and batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import reference, strategies
from kernels.harness import assert_close, build_op, lanes_here, packed, target_of, unpacked
from kernels.strategies import kernel_settings
from nincc.kernels.conv2d import reads_in_place, splits_by_image
from nincc.kernels.pack_weights import pack_bias, pack_conv2d
from nincc.kernels.spec import Pooling, conv_spec


def attributes(lanes, channels, units, kernel, **given_):
    return {
        "layout": "NHWC", "channels": channels, "units": units, "kernel": kernel, "strides": (1, 1),
        "padding": (0, 0, 0, 0), "dilation": (1, 1), "activation": "relu", "pool": "", "lanes": lanes, "mr": 4,
        "tasks": 1,
    } | given_  # fmt: skip


def check(batch, size, attrs, seed=0):
    """Build, run and compare one convolution of random data."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, attrs["channels"], *size)).astype(np.float32)
    weight = rng.standard_normal((attrs["units"], attrs["channels"], *attrs["kernel"]))
    weight = (weight / np.sqrt(weight[0].size)).astype(np.float32)
    bias = rng.standard_normal(attrs["units"]).astype(np.float32)
    target = target_of(attrs["lanes"])
    data = x if attrs["layout"] == "NCHW" else packed(x, attrs["lanes"])
    arrays = [data, pack_conv2d(weight, target.panel), pack_bias(bias, target.panel)]
    y = build_op(target, "nincc.conv2d", [array.shape for array in arrays], **attrs)(*arrays)
    pool = Pooling.parse(attrs["pool"])
    source = reference.pool2d(x, pool) if pool else x
    expected = reference.conv2d(source, weight, bias, attrs["strides"], attrs["padding"], attrs["dilation"])
    assert_close(unpacked(y, attrs["units"]), reference.activate(expected, attrs["activation"]))


@st.composite
def convolutions(draw):
    """(batch, source size, attributes) of a convolution with at least one output pixel."""
    kernel = draw(st.tuples(st.integers(1, 11), st.integers(1, 11)))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2), (3, 2)]))
    padding = draw(st.tuples(*[st.integers(0, 5)] * 4))
    size = tuple(draw(st.integers(1, 14)) for _ in range(2))
    pool = draw(st.none() | strategies.poolings(size))
    read = pool.out_size if pool else size
    shortest = [(k - 1) * d + 1 - a - b for k, d, a, b in zip(kernel, dilation, padding[:2], padding[2:], strict=True)]
    grow = max(0, *(need - extent for need, extent in zip(shortest, read, strict=True)))
    padding = (padding[0], padding[1], padding[2] + grow, padding[3] + grow)
    layout = draw(st.sampled_from(["NHWC", "NHWC", "NCHW"]))
    attrs = attributes(
        draw(strategies.lanes), draw(st.integers(1, 40)), draw(st.integers(1, 50)), kernel,
        strides=draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), padding=padding, dilation=dilation,
        activation=draw(strategies.activations), pool=str(pool or ""), layout=layout,
        mr=draw(strategies.rows), tasks=draw(strategies.tasks),
    )  # fmt: skip
    return draw(st.sampled_from([1, 1, 2, 3, 9])), size, attrs


@kernel_settings
@given(convolutions())
def test_convolution_of_any_shape(layer):
    check(*layer)


@pytest.mark.parametrize("lanes", lanes_here())
@pytest.mark.parametrize(
    "size, attrs",
    [
        ((12, 10), {"channels": 3, "kernel": (5, 5), "padding": (2, 2, 2, 2), "layout": "NCHW", "tasks": 2}),
        ((39, 39), {"channels": 3, "kernel": (11, 11), "strides": (4, 4), "layout": "NCHW"}),
        ((9, 9), {"channels": 32, "kernel": (3, 3), "padding": (1, 1, 1, 1), "tasks": 3}),
    ],
)  # fmt: skip
def test_the_convolutions_of_nins(lanes, size, attrs):
    check(1, size, attributes(lanes, attrs["channels"], 24, **{k: v for k, v in attrs.items() if k != "channels"}))


@pytest.mark.parametrize("batch", [2, 8, 32])
def test_batches_by_image_and_by_stage(batch):
    attrs = attributes(4, 9, 10, (3, 3), padding=(1, 1, 1, 1), tasks=4)
    assert splits_by_image(conv_spec((batch, 5, 4, 12), attrs)) == (batch >= 8)
    check(batch, (5, 4), attrs)


@pytest.mark.parametrize(("batch", "tasks"), [(1, 1), (3, 2), (5, 1)])
@pytest.mark.parametrize(
    ("kernel", "padding", "dilation"),
    [
        ((7, 3), (6, 1, 6, 1), (1, 1)), ((3, 1), (4, 0, 9, 0), (2, 1)), ((5, 5), (0, 2, 4, 2), (1, 1)),
        ((2, 2), (3, 3, 3, 3), (1, 2)),
    ],
)  # fmt: skip
def test_rows_of_the_kernel_in_the_padding_add_nothing(batch, tasks, kernel, padding, dilation):
    """Register tiles whose pixels lie in several rows and images, and ones that read padding alone."""
    check(batch, (4, 5), attributes(8, 5, 20, kernel, padding=padding, dilation=dilation, tasks=tasks, mr=6))


@pytest.mark.parametrize("size", [(2, 2), (3, 1), (2, 3), (1, 1), (2, 5)])
def test_a_register_tile_of_several_images_leaves_out_only_rows_that_none_reads(size):
    """The tile's last pixel can be in a row of its image as low as, or lower than, the first pixel's."""
    check(7, size, attributes(8, 5, 20, (7, 7), padding=(3, 3, 3, 3), tasks=2, mr=6))


def test_a_source_that_is_the_map_already_is_read_in_place():
    plain = attributes(4, 8, 10, (3, 3), strides=(2, 1))
    assert reads_in_place(conv_spec((2, 7, 6, 8), plain))
    check(2, (7, 6), plain)
    for changed in ({"channels": 7}, {"padding": (0, 0, 0, 1)}, {"layout": "NCHW"}):
        assert not reads_in_place(conv_spec((2, 7, 6, 8), plain | changed))


def test_a_kernel_that_covers_the_whole_map_is_a_fully_connected_layer():
    check(3, (4, 5), attributes(4, 6, 30, (4, 5)))
