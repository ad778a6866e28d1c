"""CanonicalizeGlobalPool: every guise of the global average pool, and what only looks like one."""

import pytest

from nincc._tvm import tvm
from nincc.passes.canonicalize_global_pool import CanonicalizeGlobalPool
from passes.running import assert_declines, assert_rewrites, assert_untouched, module

relay = tvm.relay
SHAPE = (2, 3, 4, 6)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: relay.nn.avg_pool2d(x, pool_size=(4, 6)),
        lambda x: relay.nn.avg_pool2d(x, pool_size=(4, 6), strides=(4, 6)),
        lambda x: relay.nn.avg_pool2d(x, pool_size=(5, 8), padding=(1, 1), strides=(9, 9)),
        lambda x: relay.nn.adaptive_avg_pool2d(x, (1, 1)),
        lambda x: relay.mean(x, axis=[2, 3], keepdims=True),
        lambda x: relay.mean(x, axis=[-1, -2], keepdims=True),
        lambda x: relay.mean(x, axis=[0, 1], keepdims=True, exclude=True),
        lambda x: relay.mean(relay.mean(x, axis=[3], keepdims=True), axis=[2], keepdims=True),
    ],
    ids=["window", "strided", "padding", "adaptive", "mean", "negative", "exclude", "two means"],
)
def test_one_form(pool):
    x, y = relay.var("x", shape=SHAPE), relay.var("y", shape=SHAPE)
    record = assert_rewrites(
        CanonicalizeGlobalPool(), module(x, body=pool(x)), module(y, body=relay.nn.global_avg_pool2d(y))
    )
    assert len(record.changed) == 1


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: relay.mean(x, axis=[2, 3]),
        lambda x: relay.mean(relay.mean(x, axis=[3]), axis=[2]),
        lambda x: relay.mean(relay.mean(x, axis=[2]), axis=[2]),
        lambda x: relay.mean(relay.reshape(x, (2, 3, 24)), axis=[2]),
    ],
    ids=["mean", "rows of columns", "columns of rows", "flattened"],
)
def test_the_axes_fall_away_in_a_reshape(pool):
    x, y = relay.var("x", shape=SHAPE), relay.var("y", shape=SHAPE)
    expected = relay.reshape(relay.nn.global_avg_pool2d(y), (2, 3))
    assert_rewrites(CanonicalizeGlobalPool(), module(x, body=pool(x)), module(y, body=expected))


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        (lambda x: relay.nn.avg_pool2d(x, pool_size=(2, 2), strides=(2, 2)), "does not cover"),
        (lambda x: relay.nn.avg_pool2d(x, pool_size=(3, 5), strides=(9, 9)), "does not cover"),
        (
            lambda x: relay.nn.avg_pool2d(x, pool_size=(6, 8), padding=(1, 1), strides=(9, 9), count_include_pad=True),
            "counts its padding",
        ),
        (lambda x: relay.nn.adaptive_avg_pool2d(x, (4, 6)), "more than one pixel"),
        (lambda x: relay.mean(x, axis=[3]), "not over height and width"),
    ],
    ids=["several windows", "one window too small", "padding counts", "adaptive to many", "one axis"],
)
def test_declines(pool, reason):
    x = relay.var("x", shape=SHAPE)
    assert_declines(CanonicalizeGlobalPool(), module(x, body=pool(x)), reason)


def test_leaves_means_of_other_things_alone():
    x = relay.var("x", shape=SHAPE)
    body = relay.Tuple([relay.mean(relay.reshape(x, (6, 24)), axis=[1]), relay.mean(x, axis=[1])])
    assert_untouched(CanonicalizeGlobalPool(), module(x, body=body))
