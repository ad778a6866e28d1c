"""nincc.gemm_chain against float64, for any chain, shape and knob; its weights and its cut."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import reference, strategies
from kernels.harness import assembly, assert_close, build_op, lanes_here, packed, target_of, unpacked
from kernels.strategies import kernel_settings
from nincc.errors import InternalError
from nincc.kernels.chain_spec import Chain, ChainLayer, chain_spec, takes_strassen
from nincc.kernels.chain_weights import pack_chain, pack_chain_bias, pair_operands


def parameters(layers, seed=1):
    """([units, K], [units]) of each layer."""
    rng = np.random.default_rng(seed)
    found = []
    for layer in layers:
        weight = rng.standard_normal((layer.units, layer.depth)) / np.sqrt(layer.depth)
        found.append((weight.astype(np.float32), rng.standard_normal(layer.units).astype(np.float32)))
    return found


def case(lanes, x, units, strassen, activations=(), **knobs):
    """The arrays and attributes of a chain on the NCHW map ``x``."""
    attrs = {"units": units, "channels": x.shape[1], "strassen": tuple(map(int, strassen)), "lanes": lanes} | knobs
    attrs["activations"] = activations or ("relu",) * len(units)
    data = packed(x, lanes)
    layers = chain_spec(data.shape, attrs).layers
    weights, biases = zip(*parameters(layers), strict=True)
    return [data, pack_chain(weights, layers), pack_chain_bias(biases, layers)], attrs


def run(lanes, x, units, strassen, **given):
    """(result on NCHW, float64 expectation)."""
    arrays, attrs = case(lanes, x, units, strassen, **given)
    y = build_op(target_of(lanes), "nincc.gemm_chain", [array.shape for array in arrays], **attrs)(*arrays)
    expected = x
    layers = chain_spec(arrays[0].shape, attrs).layers
    for (weight, bias), layer in zip(parameters(layers), layers, strict=True):
        expected = reference.activate(reference.gemm(expected, weight, bias), layer.activation)
    return unpacked(y, units[-1]), expected


@st.composite
def chains(draw):
    """Any chain of one or two layers, each by Strassen's algorithm or not where that is possible."""
    lanes, depth = draw(strategies.lanes), draw(strategies.channels)
    units = draw(st.lists(strategies.channels, min_size=1, max_size=2))
    flags = [
        takes_strassen(k, n, lanes) and draw(st.integers(0, 3)) > 0
        for k, n in zip([depth, *units], units, strict=False)
    ]
    activations = tuple(draw(strategies.activations) for _ in units)
    shape = (draw(strategies.batches), depth, draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    knobs = {"mr": draw(strategies.rows), "block": draw(st.integers(1, 5)), "tasks": draw(strategies.tasks)}
    return lanes, shape, tuple(units), flags, {"activations": activations, **knobs}


@settings(kernel_settings, max_examples=20)
@given(chains())
def test_any_chain(chain):
    lanes, shape, units, flags, given = chain
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    y, expected = run(lanes, x, units, flags, **given)
    assert_close(y, expected, 5e-6)


@pytest.mark.parametrize("lanes", lanes_here())
@pytest.mark.parametrize("mr", [6, 9])
@pytest.mark.parametrize("rows, channels", [(1, 40), (49, 41)])
def test_strassen_with_odd_rows_and_uneven_halves(lanes, rows, channels, mr):
    """Units make panels and pairs of every kind: narrow ones at 9 rows."""
    x = np.random.default_rng(0).standard_normal((1, channels, rows, 1)).astype(np.float32)
    y, expected = run(lanes, x, (96, 90, 70, 40), (True, True, True, False), mr=mr, block=1, tasks=3)
    assert_close(y, expected, 5e-6)


def test_results_do_not_depend_on_tasks_or_blocks():
    x = np.random.default_rng(0).standard_normal((3, 24, 5, 7)).astype(np.float32)
    cuts = [(1, 1), (5, 2), (2, 30)]
    outputs = [run(4, x, (16, 16), (True, True), mr=4, tasks=tasks, block=block)[0] for tasks, block in cuts]
    assert all(np.array_equal(outputs[0], other) for other in outputs[1:])


@pytest.mark.skipif(8 not in lanes_here(), reason="needs an x86-64-v3 CPU to tell FMA code by")
def test_every_product_is_fma_on_registers():
    """At 6 rows on AVX2: seven loops of 48 vector FMAs, no spill to the stack in any."""
    x = np.zeros((1, 64, 12, 1), np.float32)
    arrays, attrs = case(8, x, (32,), (True,), mr=6, block=1, tasks=1)
    blocks = assembly(target_of(8), "nincc.gemm_chain", [array.shape for array in arrays], **attrs)
    loops = [block for block in blocks if block.count("vfmadd") == 48]
    assert len(loops) == 7 and not any("rsp" in loop for loop in loops)


def test_the_seven_products_make_four_quarters():
    """The algorithm on plain matrices, with a second half of channels that is shorter."""
    rng = np.random.default_rng(0)
    a, left, right = rng.standard_normal((6, 13)), rng.standard_normal((13, 4)), rng.standard_normal((13, 4))
    b11, b21, t2, t3, minus_t4, t1, b22 = pair_operands(left, right, 8)
    (a11, a12), (a21, a22) = (np.split(part, [8], axis=1) for part in np.split(a, 2))
    s1 = a21 + np.pad(a22, ((0, 0), (0, 3)))
    s2 = s1 - a11
    s4 = a12 - s2[:, :5]
    u = a11 @ b11 + s2 @ t2
    v, w = u + (a11 - a21) @ t3, s1 @ t1
    got = np.block([[a11 @ b11 + a12 @ b21, u + w + s4 @ b22], [v + a22 @ minus_t4, v + w]])
    np.testing.assert_allclose(got, a @ np.hstack([left, right]), atol=1e-12)


@pytest.mark.parametrize(
    ("units", "mr", "kinds"),
    [
        (64, 6, [("pair", 2, 2, 2)]),  # panels, count, vectors
        (48, 6, [("pair", 2, 1, 2), ("plain", 1, 1, 2)]),
        (48, 8, [("pair", 2, 1, 2), ("pair", 1, 1, 1)]),
        (40, 8, [("pair", 2, 1, 2), ("plain", 1, 1, 1)]),
        (56, 6, [("pair", 2, 1, 2), ("plain", 1, 1, 2), ("plain", 1, 1, 1)]),
        (56, 8, [("pair", 2, 1, 2), ("pair", 1, 1, 1), ("plain", 1, 1, 1)]),
    ],
)
def test_panels_go_in_pairs(units, mr, kinds):
    layer = ChainLayer(32, units, "relu", True, 8, mr)
    names = {True: "pair", False: "plain"}
    assert [(names[group.is_pair], group.panels, group.count, group.vectors) for group in layer.groups] == kinds
    assert sum(group.count * group.panels for group in layer.groups) == layer.panels
    plain = replace(layer, strassen=False)
    assert sum(group.count for group in plain.groups) == plain.panels and plain.weight_rows == plain.panels * 32


def test_a_tile_is_two_register_tiles_where_any_layer_halves_it():
    plain = ChainLayer(32, 32, "relu", False, 8, 6)
    assert Chain((plain,), 25, 6, 1, 1).cut == (5, 5, 5)
    chain = Chain((plain, replace(plain, strassen=True)), 25, 6, 1, 1)
    assert chain.cut == (3, 1, 5) and chain.is_ragged and chain.tile_rows == 10


@settings(deadline=None)
@given(st.integers(1, 4000), st.integers(1, 12), st.booleans(), st.integers(1, 8))
def test_the_tiles_cover_all_rows_and_every_task_has_its_share(rows, mr, strassen, tasks):
    chain = Chain((ChainLayer(32, 32, "relu", strassen, 8, mr),), rows, mr, 1, tasks)
    tiles, large, size = chain.cut
    heights = [chain.first_row(tile + 1) - chain.first_row(tile) for tile in range(tiles)]
    assert chain.first_row(0) == 0 and sum(heights) == rows + chain.is_ragged
    assert heights.count(chain.tile_rows) == large and set(heights) <= {chain.tile_rows, (size - 1) * chain.parts}
    edges = [task * tiles // tasks for task in range(tasks + 1)]
    shares = [sum(heights[begin:end]) for begin, end in pairwise(edges) if end - begin == edges[1]]
    assert not shares or max(shares) - min(shares) <= chain.parts


def test_strassen_wants_two_halves_and_a_pair():
    assert takes_strassen(9, 32, 8) and not takes_strassen(8, 32, 8) and not takes_strassen(64, 24, 8)
    attrs = {
        "units": (16,),
        "channels": 64,
        "activations": ("relu",),
        "strassen": (1,),
        "lanes": 8,
        "mr": 6,
        "block": 1,
    }
    with pytest.raises(InternalError, match="no halves"):
        chain_spec((1, 2, 2, 64), attrs | {"tasks": 1})
