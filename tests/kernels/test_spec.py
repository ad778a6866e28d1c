"""Geometry of poolings and convolutions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nincc.errors import InternalError
from nincc.kernels.spec import Pooling, balanced, conv_spec

CAFFE = Pooling("max", (3, 3), (2, 2), (0, 0, 0, 0), (16, 16))


def test_pooling_survives_its_text():
    for pool in (CAFFE, Pooling("avg", (3, 2), (2, 1), (1, 0, 2, 1), (4, 5), True)):
        assert Pooling.parse(str(pool)) == pool
    assert Pooling.parse("") is None


@pytest.mark.parametrize("text", ["max 3 3", "median " + "1 " * 11, "avg " + "1 " * 12])
def test_a_bad_pooling_text_is_an_internal_error(text):
    with pytest.raises(InternalError, match="bad pooling text"):
        Pooling.parse(text)


def test_windows_that_leave_the_map():
    assert CAFFE.edges((32, 32)) and CAFFE.edges((33, 32))
    assert not CAFFE.edges((33, 33))
    assert Pooling("max", (2, 2), (2, 2), (1, 0, 0, 0), (2, 2)).edges((9, 9))


def test_convolution_sizes():
    attrs = {
        "layout": "NCHW", "channels": 3, "units": 96, "kernel": (11, 11), "strides": (4, 4), "dilation": (1, 1),
        "padding": (0, 0, 0, 0), "pool": "", "activation": "relu", "lanes": 8, "mr": 6, "tasks": 4,
    }  # fmt: skip
    conv = conv_spec((2, 3, 224, 224), attrs)
    assert conv.out_shape == (2, 54, 54, 96) and conv.padded_size == (223, 223) and conv.source_channels == 3
    pooled = conv_spec((1, 32, 32, 8), attrs | {
        "layout": "NHWC", "kernel": (3, 3), "strides": (1, 2), "dilation": (2, 1), "padding": (1, 0, 2, 1),
        "units": 20, "pool": str(CAFFE),
    })  # fmt: skip
    assert pooled.input_size == (16, 16) and pooled.out_shape == (1, 15, 8, 24) and pooled.source_channels == 8


@given(st.integers(1, 5000), st.integers(1, 14))
def test_balanced_tiles_cover_all_rows_in_the_fewest_nearly_equal_tiles(rows, largest):
    tiles, large, size = balanced(rows, largest)
    assert tiles == -(-rows // largest) and 1 <= large <= tiles and size <= largest
    assert large * size + (tiles - large) * (size - 1) == rows
