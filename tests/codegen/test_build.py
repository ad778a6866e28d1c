"""Relay to a running program: aliases, tuples, repeated outputs, scratch memory and shared constants."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.running import link, run_program
from nincc._tvm import tvm
from nincc.codegen.build import build_program
from nincc.codegen.lower import lower
from nincc.codegen.objects import emit_object
from nincc.codegen.program import Program
from nincc.target import load_target
from nincc.tensor import TensorSpec

relay = tvm.relay
TARGET = load_target("x86-64-v2")


def compile_and_run(
    params: list[Any], body: Any, arrays: list[np.ndarray[Any, Any]], folder: Path, threads: int = 2
) -> tuple[Program, list[Any]]:
    module = relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(params, body)))
    result = module["main"].ret_type
    kinds = list(result.fields) if isinstance(result, relay.TupleType) else [result]
    outputs = tuple(
        TensorSpec(f"y{i}", tuple(int(e) for e in kind.concrete_shape)) for i, kind in enumerate(kinds)
    )
    inputs = tuple(TensorSpec(p.name_hint, a.shape) for p, a in zip(params, arrays, strict=True))
    lowered = lower(module, TARGET, threads)
    objects = [emit_object(name, kernel.func, TARGET, folder) for name, kernel in lowered.kernels.items()]
    program = build_program(lowered, inputs, outputs, threads)
    return program, run_program(program, link(objects, threads, folder), arrays)


def test_convolution_softmax_and_reshape(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 9, 9)).astype(np.float32)
    weight = rng.standard_normal((5, 3, 3, 3)).astype(np.float32)
    var = relay.var("x", shape=x.shape)
    y = relay.nn.relu(relay.nn.conv2d(var, relay.const(weight), padding=(1, 1), kernel_size=(3, 3)))
    y = relay.nn.softmax(relay.reshape(relay.nn.global_avg_pool2d(y), (2, 5)))
    _, (got,) = compile_and_run([var], y, [x], tmp_path)
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    maps = np.maximum(np.einsum("ncyxij,ocij->noyx", windows, weight.astype(np.float64)), 0)
    logits = np.exp(maps.mean((2, 3)))
    np.testing.assert_allclose(got, logits / logits.sum(1, keepdims=True), atol=1e-6)


def test_outputs_that_are_inputs_constants_or_repeats_are_copied(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    var, constant = relay.var("x", shape=(2, 3)), np.full((4,), 7, np.float32)
    twice = relay.add(var, var)
    body = relay.Tuple([var, relay.const(constant), twice, twice, relay.reshape(twice, (6,))])
    _, got = compile_and_run([var], body, [x], tmp_path)
    np.testing.assert_array_equal(got[0], x)
    np.testing.assert_array_equal(got[1], constant)
    for array in got[2:]:
        np.testing.assert_array_equal(array.reshape(2, 3), 2 * x)


def test_split_and_concatenate_pass_tuples(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 6, 4)
    var = relay.var("x", shape=x.shape)
    parts = relay.split(var, 3, axis=1)
    body = relay.concatenate([parts[2], relay.nn.relu(parts[0]), parts[1]], axis=1)
    _, (got,) = compile_and_run([var], body, [x], tmp_path)
    np.testing.assert_array_equal(got, x[:, [4, 5, 0, 1, 2, 3]])


def test_equal_constants_are_stored_once(tmp_path: Path) -> None:
    x = np.ones((4, 300), np.float32)
    var = relay.var("x", shape=x.shape)
    table = np.random.default_rng(0).standard_normal((4, 300)).astype(np.float32)
    body = relay.Tuple([relay.add(var, relay.const(table)), relay.multiply(var, relay.const(table.copy()))])
    program, got = compile_and_run([var], body, [x], tmp_path)
    assert len(program.weights) == 4 * 300 * 4
    np.testing.assert_allclose(got[0], x + table)
    np.testing.assert_allclose(got[1], table)


@pytest.mark.parametrize("threads", [1, 3, 4])
def test_scratch_of_a_parallel_loop_is_one_slice_a_task(tmp_path: Path, threads: int) -> None:
    """TOPI's fast_softmax allocates a row of exponentials within its parallel loop over rows."""
    x = np.random.default_rng(0).standard_normal((7, 1000)).astype(np.float32)
    var = relay.var("x", shape=x.shape)
    program, (got,) = compile_and_run([var], relay.nn.fast_softmax(var), [x], tmp_path, threads)
    expected = np.exp(x.astype(np.float64))
    np.testing.assert_allclose(got, expected / expected.sum(1, keepdims=True), atol=1e-6)
    assert program.workspace_bytes == min(threads, 7) * 4032


def halves(x: Any, number: int) -> Any:
    return relay.strided_slice(x, begin=[2 * number], end=[2 * number + 2], axes=[0])


def test_slices_and_joins_of_images_move_nothing(tmp_path: Path) -> None:
    """Each half through kernels of its own: the parts lie in the input and in the sum's operand."""
    x = np.random.default_rng(0).standard_normal((4, 4, 4)).astype(np.float32)
    var = relay.var("x", shape=x.shape)
    joined = relay.concatenate([relay.nn.softmax(halves(var, n)) for n in (1, 0)], axis=0)
    program, (got,) = compile_and_run([var], relay.nn.softmax(joined), [x], tmp_path)
    assert [step.op for step in program.steps] == ["nn.softmax"] * 3
    sources = [program.buffers[step.arguments[0]] for step in program.steps]
    assert [(one.kind, one.start) for one in sources] == [("input", 128), ("input", 0), ("workspace", 0)]
    written = [program.buffers[step.arguments[1]] for step in program.steps[:2]]
    assert [one.offset + one.start for one in written] == [sources[2].offset, sources[2].offset + 128]
    np.testing.assert_allclose(got, softmax(softmax(x[[2, 3, 0, 1]])), atol=1e-6)


def test_parts_of_an_output(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((4, 4, 4)).astype(np.float32)
    var = relay.var("x", shape=x.shape)
    parts = [relay.nn.softmax(halves(var, n)) for n in (0, 1)]
    body = relay.Tuple([relay.concatenate(parts, axis=0), parts[1]])
    program, got = compile_and_run([var], body, [x], tmp_path)
    assert [step.op for step in program.steps] == ["nn.softmax", "nn.softmax", "copy"]
    np.testing.assert_allclose(got[0], softmax(x), atol=1e-6)
    np.testing.assert_array_equal(got[1], got[0][2:])


@pytest.mark.parametrize(
    "body",
    [
        lambda x: relay.concatenate([x, relay.nn.relu(x)], axis=0),
        lambda x: (lambda y: relay.concatenate([y, y], axis=0))(relay.nn.softmax(x)),
        lambda x: relay.concatenate([relay.nn.softmax(x), relay.nn.softmax(x + x)], axis=1),
        lambda x: relay.nn.softmax(relay.strided_slice(x, begin=[0], end=[4], strides=[2], axes=[0])),
        lambda x: relay.nn.softmax(relay.strided_slice(x, begin=[1], end=[3], axes=[1])),
        lambda x: relay.nn.softmax(relay.strided_slice(x, begin=[1], end=[2], axes=[0])),
    ],
    ids=["of an input", "twice", "of channels", "every other image", "of rows", "not aligned"],
)
def test_what_has_to_be_copied(body: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 5)).astype(np.float32)
    module = tvm.IRModule.from_expr(relay.Function([var := relay.var("x", shape=x.shape)], body(var)))
    with tvm.target.Target("llvm"):
        expected = relay.create_executor("graph", mod=module).evaluate()(x).numpy()
    program, (got,) = compile_and_run([var], body(var), [x], tmp_path)
    assert any("concatenate" in step.op or "strided_slice" in step.op for step in program.steps)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def softmax(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(x.astype(np.float64))
    return np.asarray(powers / powers.sum(-1, keepdims=True))
