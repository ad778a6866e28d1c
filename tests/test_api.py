"""``import nincc``: compile, load, explain."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import nincc
import nincc.compiler
from nincc.api import compile_options
from nincc.codegen.child import CompiledProgram, compile_in_child
from nincc.errors import DeviceError, InternalError, UsageError, VerificationError
from nincc.target import load_target
from tests.artefacts import small
from tests.verify.small_nets import small_proto


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small_proto(softmax=True), path)
    return path


@pytest.fixture(scope="module")
def program(model: Path, tmp_path_factory: pytest.TempPathFactory) -> CompiledProgram:
    """The net's compiled program, so that tests of what follows need not compile it again."""
    from nincc.frontend import load_model

    return compile_in_child(load_model(model), compile_options(), tmp_path_factory.mktemp("program"))


def with_weights(program: CompiledProgram, change: Any) -> CompiledProgram:
    weights = change(np.frombuffer(program.program.weights, np.float32)).astype(np.float32).tobytes()
    return replace(program, program=replace(program.program, weights=weights))


def test_compile_and_load() -> None:
    compiled = small()
    net = nincc.load(compiled.folder, threads=2)
    image = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    probabilities, maps = net(image)
    assert probabilities.shape == (2, 5) and maps.shape == (2, 5, 4, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    means = maps.mean(axis=(2, 3))
    powers = np.exp(means - means.max(axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities, powers / powers.sum(axis=1, keepdims=True), rtol=1e-4)


def test_the_certificate_is_in_the_manifest_and_in_the_library() -> None:
    manifest = json.loads((small().folder / "manifest.json").read_text())
    assert manifest["verified"] is True
    certificate = nincc.Artefact(small().folder, manifest).certificate
    assert certificate is not None and certificate.passed
    assert [error.name for error in certificate.blocks] == ["block1", "block2"]
    assert all(error.passed for error in certificate.blocks)
    assert nincc.load(small().folder).manifest == manifest


@pytest.mark.parametrize("change", [lambda w: w * 1.01, lambda w: w[::-1], lambda w: np.where(w == w.max(), np.nan, w)])
def test_a_wrong_result_leaves_nothing(
    change: Any, model: Path, program: CompiledProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = with_weights(program, change)
    monkeypatch.setattr(nincc.compiler, "compile_in_child", lambda *arguments: wrong)
    with pytest.raises(VerificationError, match="wrong result: output 'prob'.*guilty: passes or kernels"):
        nincc.compile(model, out=tmp_path / "deep" / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_result_leaves_an_older_artefact_alone(
    model: Path, program: CompiledProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(small().folder, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    wrong = with_weights(program, lambda w: w * 1.01)
    monkeypatch.setattr(nincc.compiler, "compile_in_child", lambda *arguments: wrong)
    with pytest.raises(VerificationError):
        nincc.compile(model, out=out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_crash_of_the_library_is_a_wrong_result(
    model: Path, program: CompiledProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workspace buffer that lies far outside the workspace."""
    buffers = tuple(
        replace(buffer, offset=1 << 46) if buffer.kind == "workspace" else buffer for buffer in program.program.buffers
    )
    wrong = replace(program, program=replace(program.program, buffers=buffers))
    monkeypatch.setattr(nincc.compiler, "compile_in_child", lambda *arguments: wrong)
    with pytest.raises(VerificationError, match="process ended by SIG"):
        nincc.compile(model, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_without_verification(
    model: Path, program: CompiledProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No certificate, but the outputs for the selftest are still reference 2's."""
    monkeypatch.setattr(nincc.compiler, "compile_in_child", lambda *arguments: program)
    artefact = nincc.compile(model, out=tmp_path / "out", verify=False)
    assert artefact.manifest["verified"] is False
    assert artefact.certificate is None
    assert nincc.verify(artefact.path).passed


def test_a_target_that_cannot_run_here_is_refused_before_the_work(tmp_path: Path) -> None:
    target = replace(load_target("x86"), requires=("no_such_feature",))
    with pytest.raises(DeviceError, match="nothing here can run target.*no_such_feature; add --no-verify"):
        nincc.compile(tmp_path / "none.onnx", target, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "--threads 0 is out of range; give 1 to"),
        ({"threads": 100000}, "--threads 100000 is out of range"),
        ({"error_budget": 0.0}, "--error-budget 0.0"),
        ({"error_budget": float("nan")}, "--error-budget nan"),
        ({"optimize": "beauty"}, "--optimize 'beauty' is unknown; speed or size"),
        ({"libc": "newlib"}, "--libc 'newlib'"),
        ({"name": "a-b"}, "'a-b' cannot name a net"),
        ({"schedules": Path("none.jsonl")}, "none.jsonl: no such file"),
        ({"schedules": "none.jsonl"}, "none.jsonl: no such file"),
        ({"batch": 0}, "--batch 0"),
        ({"batch": 3}, "batch"),
        ({"target": "z80"}, "unknown target 'z80'; known targets:"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        nincc.compile(model, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_option_that_does_not_exist(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="colour"):
        nincc.compile(model, out=tmp_path / "out", colour="red")


def test_a_folder_with_other_things_in_it_is_left_alone(model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="nothing was written"):
        nincc.compile(model, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_progress_is_told(
    model: Path, program: CompiledProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nincc.compiler, "compile_in_child", lambda *arguments: program)
    told: list[str] = []
    nincc.compile(model, out=tmp_path / "out", verify=False, on_progress=lambda doing, done, total: told.append(doing))
    assert told == ["reference", "link"]


def test_keep_maps_needs_a_global_average_pool(tmp_path: Path) -> None:
    proto = small_proto()
    proto.graph.node.pop()  # Flatten
    proto.graph.node.pop()  # GlobalAveragePool
    proto.graph.output[0].name = "block2"
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(proto, tmp_path / "open.onnx")
    with pytest.raises(UsageError, match="does not end in a global average pool; leave --keep-maps out"):
        nincc.compile(tmp_path / "open.onnx", out=tmp_path / "out", keep_maps=True)


def test_names_and_nothing_else() -> None:
    assert set(nincc.__all__) <= set(dir(nincc))
    for name in nincc.__all__:
        assert getattr(nincc, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nincc.nothing  # noqa: B018
    assert nincc.Target is type(load_target("x86"))
    assert issubclass(InternalError, nincc.NinccError)


def test_a_folder_compiled_anew_is_loaded_anew(
    model: Path, program: CompiledProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dynamic loader knows libraries by name: it must not give the old one again."""
    image = np.ones((2, 3, 8, 8), np.float32)
    results = []
    for factor in (1, 2, 3):
        changed = with_weights(program, lambda weights, by=factor: weights * by)
        monkeypatch.setattr(nincc.compiler, "compile_in_child", lambda *arguments, it=changed: it)
        nincc.compile(model, out=tmp_path / "out", verify=False)
        net = nincc.load(tmp_path / "out")
        results.append((net, net(image)))
    for (net, result), (_, other) in zip(results, results[1:] + results[:1], strict=True):
        np.testing.assert_array_equal(net(image), result)
        assert not np.allclose(result, other)
