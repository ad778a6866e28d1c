"""The walk: sharing, memory, depth, tuples, errors."""

from __future__ import annotations

import gc
import inspect
import re
import weakref

import numpy as np
import pytest

from nincc._tvm import tvm
from nincc.errors import InternalError, UsageError
from nincc.frontend import relay as frontend
from nincc.verify import evaluator
from nincc.verify.evaluator import evaluate
from nincc.verify.ops.registry import OPERATORS
from tests.verify.relay_op import random, relay, run_op


def test_computes_in_float64():
    x = np.float32(1) / np.float32(3)
    got = run_op(lambda v: relay.add(relay.multiply(v, relay.const(1e-9)), v), np.array([x]))
    assert got.dtype == np.float64
    assert got[0] == float(x) * float(np.float32(1e-9)) + float(x)


def test_a_shared_value_is_computed_once(monkeypatch):
    calls = []
    exp = OPERATORS["exp"]
    monkeypatch.setitem(OPERATORS, "exp", lambda args, attrs: calls.append(1) or exp(args, attrs))

    def build(v):
        shared = relay.exp(v)
        return relay.add(relay.multiply(shared, shared), shared)

    x = random((5,))
    got = run_op(build, x)
    e = np.exp(x.astype(np.float64))
    np.testing.assert_allclose(got, e * e + e, rtol=1e-15)
    assert calls == [1]


def test_a_value_is_released_after_its_last_reader(monkeypatch):
    """Ten maps one after the other: never more than the reader's argument and its result are alive."""
    alive, most = [], []

    def relu(arguments, attributes):
        gc.collect()
        most.append(sum(1 for ref in alive if ref() is not None))
        result = np.maximum(arguments[0], 0.0)
        alive.append(weakref.ref(result))
        return result

    monkeypatch.setitem(OPERATORS, "nn.relu", relu)

    def build(v):
        for _ in range(10):
            v = relay.nn.relu(v)
        return v

    run_op(build, random((4, 4)))
    assert max(most) == 1


def test_a_graph_deeper_than_the_recursion_limit():
    x = relay.var("x", shape=(2,))
    body = x
    for _ in range(3000):
        body = relay.add(body, x)
    got = evaluate(relay.Function([x], body), {"x": np.array([1.0, 2.0], np.float32)})
    np.testing.assert_array_equal(got[0], [3001.0, 6002.0])


def test_several_outputs_in_graph_order_and_the_same_one_twice():
    x = random((3,))
    a, b, c = run_op(lambda v: relay.Tuple([relay.exp(v), v, relay.exp(v)]), x)
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, x)


def test_tuple_elements():
    x = random((2, 6))
    got = run_op(lambda v: relay.subtract(relay.split(v, 3, axis=1)[2], relay.split(v, 3, axis=1)[0]), x)
    np.testing.assert_array_equal(got, x[:, 4:].astype(float) - x[:, :2])


def test_inputs_are_not_changed():
    x = random((4,))
    before = x.copy()
    run_op(lambda v: relay.copy(relay.nn.relu(v)), x)
    np.testing.assert_array_equal(x, before)


def test_an_unknown_operator_is_named():
    with pytest.raises(InternalError, match=r"no operator 'cumsum'"):
        run_op(lambda v: relay.cumsum(v, axis=0), random((3,)))


def test_an_unknown_kind_of_node_is_named():
    x = relay.var("x", shape=(2,))
    branch = relay.If(relay.const(True), x, x)
    with pytest.raises(InternalError, match=r"cannot evaluate a If"):
        evaluate(relay.Function([x], branch), {"x": np.zeros(2, np.float32)})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [({}, "input 'x' is missing"), ({"x": np.zeros(3, np.float32)}, r"input 'x' has shape \(3,\).*\(2,\)")],
)
def test_wrong_inputs(inputs, message):
    x = relay.var("x", shape=(2,))
    with pytest.raises(UsageError, match=message):
        evaluate(relay.Function([x], x), inputs)


def test_attributes_become_plain_python():
    x = relay.var("x", shape=(1, 2, 4, 4))
    attributes = evaluator.plain_attributes(relay.nn.pad(x, ((0, 0), (0, 0), (1, 2), (3, 4))))
    assert attributes == {"pad_width": ((0, 0), (0, 0), (1, 2), (3, 4)), "pad_mode": "constant"}
    assert evaluator.plain(tvm.tir.FloatImm("float32", 0.5)) == 0.5


def test_every_operator_the_frontend_builds_is_known():
    """A new converter needs its operator here too, or its nets could not be verified."""
    names = set(re.findall(r"\brelay\.((?:nn\.)?[a-z_0-9]+)\b(?=[(,)])", inspect.getsource(frontend)))
    built = {name for name in names if name in tvm.ir.Op.list_op_names()}
    assert {"nn.conv2d", "nn.avg_pool2d", "reshape", "mean", "concatenate"} <= built
    assert built <= set(OPERATORS)
