"""A compiled net in Python: arrays in, arrays out, clear errors; loading costs next to nothing."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.toy_net import (
    ToyModel,
    toy_input,
    toy_object,
    toy_options,
    toy_program,
    toy_reference,
    toy_selftest,
)
from nincc.artefact import write_artefact
from nincc.codegen.driver import features
from nincc.errors import DeviceError, UsageError
from nincc.runtime import load
from nincc.tensor import TensorSpec


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_object(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def toy(kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("artefact") / "toy", kernels)


def write(out: Path, kernels: Path, program: Any = None, **options: Any) -> Path:
    program = program or toy_program()
    write_artefact(out, ToyModel(), program, [kernels], toy_options(**options), [], None, toy_selftest())  # type: ignore[arg-type]
    return out


@pytest.fixture
def net(toy: Path) -> Iterator[Any]:
    with load(toy, threads=2) as net:
        yield net


def test_gives_the_nets_output(net: Any) -> None:
    y = net(toy_input())
    assert y.dtype == np.float32 and y.shape == (2, 5)
    np.testing.assert_allclose(y, toy_reference(toy_input()), atol=1e-6)
    assert net.inputs == [("image", (2, 3, 4, 4))] and net.outputs == [("scores", (2, 5))]
    assert 0 <= net.selftest() < 1e-6


def test_results_do_not_share_memory(net: Any) -> None:
    first = net(toy_input(1))
    kept = first.copy()
    net(toy_input(2))
    np.testing.assert_array_equal(first, kept)


def test_same_bits_for_every_number_of_threads(toy: Path) -> None:
    results = []
    for threads in (1, 2, 3, 4):
        with load(toy, threads=threads) as net:
            results.append(net(toy_input()).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize(
    "view",
    [
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=3)[..., ::2],
        lambda x: x[::-1][::-1],
        lambda x: np.frombuffer(bytearray(4) + x.tobytes(), np.float32, offset=4).reshape(x.shape),
        lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
    ],
    ids=["fortran", "strided", "reversed", "misaligned", "read-only"],
)
def test_any_layout_in_memory(net: Any, view: Any) -> None:
    given = view(toy_input())
    np.testing.assert_array_equal(given, toy_input())
    np.testing.assert_array_equal(net(given), net(toy_input()))


def read_only(x: np.ndarray) -> np.ndarray:
    view = x.view()
    view.flags.writeable = False
    return view


@pytest.mark.parametrize(
    "view",
    [lambda x: x[:2], lambda x: x[::2], lambda x: read_only(x[:2]), lambda x: np.asfortranarray(x[:2])],
    ids=["dense", "strided", "read-only", "fortran"],
)
def test_an_array_that_comes_again_is_read_again(net: Any, view: Any) -> None:
    source = np.concatenate([toy_input(1), toy_input(2)])
    given = view(source)
    net(given)
    changed = given if given.base is None else source
    changed *= -2
    np.testing.assert_array_equal(net(given), net(given.copy()))
    assert np.abs(net(given) - net(view(np.concatenate([toy_input(1), toy_input(2)])))).max() > 0.01


def test_an_array_that_comes_again_is_checked_again(net: Any) -> None:
    given = toy_input()
    expected = net(given)
    given.shape = (2, 3, 16)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 16\)"):
        net(given)
    given.shape = (2, 3, 4, 4)
    np.testing.assert_array_equal(net(given), expected)


def test_an_array_whose_strides_changed_is_read_by_the_new_ones(net: Any) -> None:
    given = toy_input()
    net(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        given.strides = given.strides[:2] + given.strides[:1:-1]  # each map transposed where it lies
    np.testing.assert_array_equal(net(given), net(given.copy()))


def test_an_array_is_released_by_the_next_one_and_by_close(toy: Path) -> None:
    net = load(toy)
    first, second = toy_input(1), toy_input(2)
    released = [weakref.ref(first), weakref.ref(second)]
    net(first)
    net(second)
    del first
    assert released[0]() is None and released[1]() is second
    net.close()
    del second
    assert released[1]() is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda x: x.astype(np.float64), r"input 'image' is float64, this net takes float32; .*astype"),
        (lambda x: x.astype(">f4"), "is >f4"),
        (lambda x: x.tolist(), "float64"),
        (lambda x: x[:1], r"shape \(1, 3, 4, 4\), this net takes \(2, 3, 4, 4\); its batch is fixed"),
        (lambda x: x[0], r"shape \(3, 4, 4\), this net takes \(2, 3, 4, 4\)$"),
        (lambda x: x.transpose(0, 2, 3, 1), r"shape \(2, 4, 4, 3\)"),
        (lambda x: np.float32(1), r"shape \(\)"),
    ],
    ids=["float64", "byte order", "list", "batch", "no batch", "nhwc", "scalar"],
)
def test_a_wrong_array_is_a_value_error(net: Any, given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        net(given(toy_input()))


def test_a_refused_array_leaves_nothing_behind(net: Any) -> None:
    given = toy_input()
    expected = net(given)
    with pytest.raises(ValueError, match="float64"):
        net(given.astype(np.float64))
    np.testing.assert_array_equal(net(given), expected)


def test_a_wrong_number_of_arrays_is_a_value_error(net: Any) -> None:
    with pytest.raises(ValueError, match="0 inputs given, this net takes 1"):
        net()


@pytest.mark.parametrize("threads", [0, -1, 5, 1.5, "2", True, None])
def test_a_wrong_number_of_threads_is_a_value_error(toy: Path, threads: Any) -> None:
    with pytest.raises(ValueError, match="threads"):
        load(toy, threads=threads)


def test_a_closed_net_refuses(toy: Path) -> None:
    net = load(toy)
    net.close()
    net.close()
    with pytest.raises(ValueError, match="closed"):
        net(toy_input())


def test_a_closed_net_refuses_the_array_it_had(toy: Path) -> None:
    net, given = load(toy), toy_input()
    net(given)
    net.close()
    with pytest.raises(ValueError, match="closed"):
        net(given)


def thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def test_the_collector_ends_a_nets_threads(toy: Path) -> None:
    before = thread_count()
    net = load(toy, threads=4)
    assert thread_count() == before + 3
    del net
    gc.collect()
    assert thread_count() == before


def test_calls_from_many_threads_take_turns(net: Any) -> None:
    wrong = []

    def use(seed: int) -> None:
        x, wanted = toy_input(seed), toy_reference(toy_input(seed))
        wrong.extend(1 for _ in range(50) if not np.allclose(net(x), wanted, atol=1e-6))

    users = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert not wrong


def test_several_inputs_and_outputs_in_graph_order(tmp_path: Path) -> None:
    """The same buffers under two names each: weights as a second input, hidden values as a second output."""
    base = toy_program()
    inputs = (*base.inputs, TensorSpec("weights", (48,)))
    outputs = (TensorSpec("hidden", (2, 48)), *base.outputs)
    kinds = [("input", 0), ("input", 1), ("output", 0), ("output", 1), ("workspace", 384)]
    buffers = tuple(
        replace(buffer, kind=kind, offset=offset)
        for buffer, (kind, offset) in zip(base.buffers, kinds, strict=True)
    )
    program = replace(base, inputs=inputs, outputs=outputs, buffers=buffers, weights=b"")
    out = tmp_path / "toy"
    write_artefact(out, ToyModel(), program, [toy_object(tmp_path)], toy_options(), [], None, None)  # type: ignore[arg-type]
    x, weights = toy_input(), np.linspace(-1, 1, 48, dtype=np.float32)
    with load(out, threads=3) as net:
        hidden, scores = net(x, weights)
        with pytest.raises(ValueError, match="input 'weights' has shape"):
            net(x, weights[:47])
    wanted = np.maximum(x.reshape(2, 48) * weights, 0)
    np.testing.assert_allclose(hidden, wanted, rtol=1e-6)
    sums = np.stack([wanted[:, c::5].sum(axis=1) for c in range(5)], axis=1)
    np.testing.assert_allclose(scores, np.exp(-sums), atol=1e-6)
    header = (out / "toy.h").read_text()
    parameters = "const float *input0, const float *input1, float *output0, float *output1"
    assert f"toy_run(toy_context *context, {parameters});" in header
    assert '#define TOY_OUTPUT0_NAME "hidden"' in header


def test_a_cpu_without_the_instructions_is_a_device_error(
    kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(features._X86_64, "quantum", (0x7FFF_FFFF, 0, 0, "0"))  # a CPUID leaf no CPU has
    target = replace(toy_options().target, requires=("sse4_2", "quantum"))
    write(tmp_path / "toy", kernels, target=target)
    with pytest.raises(DeviceError, match="lacks quantum, which x86-64-v2 needs"):
        load(tmp_path / "toy")


def test_unsaved_registers_count_as_a_missing_feature(
    kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU has SSE4.2, but needs a state that no operating system saves (XCR0 bit 31)."""
    monkeypatch.setitem(features._X86_64, "sse4_2", (1, 2, 20, "0x80000000u"))
    write(tmp_path / "toy", kernels)
    with pytest.raises(DeviceError, match="lacks sse4_2"):
        load(tmp_path / "toy")


@pytest.mark.parametrize("manifest", [None, "", "{}", "[]", '{"name": 3}', '{"name": "../x"}'])
def test_a_folder_that_is_no_artefact_is_a_usage_error(tmp_path: Path, manifest: str | None) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(UsageError):
        load(tmp_path)


def test_missing_files_are_named(toy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "toy"
    shutil.copytree(toy, copy)
    (copy / "libtoy.so").unlink()
    with pytest.raises(DeviceError, match="libtoy.so"):
        load(copy)
    (copy / "toy.py").unlink()
    with pytest.raises(UsageError, match="Python file is missing"):
        load(copy)


def test_loading_leaves_nothing_in_the_artefact(toy: Path) -> None:
    before = sorted(path.name for path in toy.rglob("*"))
    load(toy).close()
    assert sorted(path.name for path in toy.rglob("*")) == before


COST = """
import json, sys, time
import numpy
def memory():
    fields = dict(line.split(":") for line in open("/proc/self/status") if line.startswith("Vm"))
    return int(fields["VmHWM"].split()[0]) * 1024
x = numpy.zeros((2, 3, 4, 4), numpy.float32)
before, start = memory(), time.perf_counter()
from toy import Net
Net(threads=1)(x)
seconds = time.perf_counter() - start
modules = [name for name in ("tvm", "onnx", "nincc") if name in sys.modules]
print(json.dumps([seconds, memory() - before, modules]))
"""


def test_first_result_costs_little_over_numpy(toy: Path) -> None:
    """The best of five: other programs may run beside."""
    runs = []
    for _ in range(5):
        command = [sys.executable, "-B", "-c", COST]
        done = subprocess.run(command, cwd=toy, capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout))
    assert min(seconds for seconds, _, _ in runs) < 0.020
    assert min(memory for _, memory, _ in runs) < 15e6
    assert all(modules == [] for _, _, modules in runs)
