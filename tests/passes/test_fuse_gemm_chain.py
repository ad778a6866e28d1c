"""FuseGemmChain: consecutive GEMMs become one kernel; maps that others read stay."""

from dataclasses import replace

import pytest

from nincc._tvm import tvm
from nincc.passes.fuse_gemm_chain import FuseGemmChain
from nincc.target import load_target
from passes.packed_calls import gemm, pack, unpack
from passes.running import (
    OPTIONS,
    apply,
    assert_declines,
    assert_untouched,
    call_of,
    module,
    operators,
    weights,
)

relay = tvm.relay
SHAPE = (8, 64, 20, 20)
WIDTHS = (64, 96, 72)


def net(*outputs, widths=WIDTHS, shape=SHAPE):
    """A pack, GEMMs from each width to the next, and an unpack; ``outputs`` are further outputs, by GEMM."""
    x = relay.var("x", shape=shape)
    nodes = [pack(x, "cccp1")]
    for number, (depth, units) in enumerate(zip(widths, widths[1:], strict=False), 1):
        weight = weights(units, depth, seed=number) / depth**0.5
        product = gemm(nodes[-1], weight, f"cccp{number}", units * depth, weights(units, seed=9), "relu")
        nodes.append(product)
    result = unpack(nodes[-1], widths[-1], "last")
    return module(x, body=relay.Tuple([result, *(nodes[i] for i in outputs)]) if outputs else result)


def test_two_layers_become_one_kernel():
    after, record = apply(FuseGemmChain(), net())
    assert operators(after) == ["nincc.pack", "nincc.gemm_chain", "nincc.unpack"]
    attrs = call_of(after, "nincc.gemm_chain")
    assert attrs["layer"] == "cccp1+cccp2" and attrs["layers"] == ("cccp1", "cccp2")
    assert attrs["layer_macs"] == (6144, 6912) and attrs["macs"] == 13056
    assert attrs["units"] == (96, 72) and attrs["strassen"] == (1, 1) and 0 < attrs["error"] <= 1e-5
    (text,) = record.changed
    assert text.startswith("cccp1+cccp2: one kernel, ") and "cccp1, cccp2 by Strassen's algorithm" in text


def test_size_keeps_the_weights_as_they_are():
    after, _ = apply(FuseGemmChain(), net(), replace(OPTIONS, optimize="size"))
    assert "nincc.gemm_chain" not in operators(after) or call_of(after, "nincc.gemm_chain")["strassen"] == (0, 0)


def test_a_map_with_a_second_reader_ends_the_chain():
    after, _ = apply(FuseGemmChain(), net(1))
    assert operators(after) == ["nincc.pack", "nincc.gemm_chain", "nincc.gemm_chain", "nincc.unpack"]
    small = net(1, widths=(6, 8, 10), shape=(1, 6, 4, 4))
    assert_declines(FuseGemmChain(), small, "cccp1: its map has a second reader or is an output of the net")


def test_one_alone_is_a_chain_where_strassen_pays():
    after, record = apply(FuseGemmChain(), net(widths=WIDTHS[:2]))
    assert operators(after)[1] == "nincc.gemm_chain" and record.changed == ["cccp1: by Strassen's algorithm"]
    assert_untouched(FuseGemmChain(), net(widths=(6, 8), shape=(1, 6, 4, 4)))


def test_the_rule_may_keep_them_apart():
    large = net(widths=(700, 700, 700), shape=(1, 700, 4, 4))
    after, record = apply(FuseGemmChain(), large)
    assert operators(after) == ["nincc.pack", "nincc.gemm", "nincc.gemm", "nincc.unpack"]
    assert record.declined == ["cccp1+cccp2: faster one by one"]


def test_not_for_a_gpu():
    assert_untouched(FuseGemmChain(), net(), replace(OPTIONS, target=load_target("sm_80")))


@pytest.mark.parametrize("widths", [(64, 96, 72, 40), (40, 33, 100, 7)])
def test_longer_chains_compute_the_same(widths):
    after, _ = apply(FuseGemmChain(), net(widths=widths, shape=(2, widths[0], 24, 24)))
    assert "nincc.gemm_chain" in operators(after)
