"""Files that PyTorch's exporters wrote (tests/data/make_exports.py)."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from nincc.errors import ModelError
from nincc.frontend import block_ends, load_model
from tests.frontend.agreement import agree, operators, run_onnx

EXPORTS = Path(__file__).parent.parent / "data" / "exports"
FILES = sorted(path.name for path in EXPORTS.glob("*.onnx") if not path.name.startswith("training"))
DYNAMIC = [name for name in FILES if name.startswith("view") or name == "shuffle_legacy_9.onnx"]


def test_there_are_exports_of_both_exporters() -> None:
    assert sum("dynamo" in name for name in FILES) >= 5
    assert sum("legacy" in name for name in FILES) >= 5


@pytest.mark.parametrize("name", FILES)
def test_agrees_with_onnxruntime(name: str) -> None:
    agree(EXPORTS / name)


@pytest.mark.parametrize("name", DYNAMIC)
def test_dynamic_batch_is_pinned(name: str) -> None:
    model = agree(EXPORTS / name, batch=3)
    assert model.batch == 3
    assert {spec.shape[0] for spec in (*model.inputs, *model.outputs)} == {3}
    assert model.notes == ("dynamic batch pinned to 3 (--batch)",)


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("plain")])
def test_dropout_is_gone_and_the_pools_are_explicit(name: str) -> None:
    model = load_model(EXPORTS / name)
    assert set(operators(model)) <= {
        "Conv", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "Reshape", "Softmax",
    }  # fmt: skip
    assert operators(model).count("Conv") == 9
    assert model.macs == 209_536


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("view")])
def test_shape_arithmetic_is_folded(name: str) -> None:
    model = load_model(EXPORTS / name)
    assert set(operators(model)) <= {
        "Conv", "Relu", "Add", "Clip", "LeakyRelu", "Concat", "ReduceMean", "Reshape", "Gemm",
    }  # fmt: skip
    assert [spec.shape for spec in model.outputs] == [(1, 5), (1, 12, 16, 16)]


@pytest.mark.parametrize("name", FILES)
def test_block_ends_are_before_the_pools(name: str) -> None:
    model = load_model(EXPORTS / name)
    expected = {"view": [(1, 12, 16, 16)], "shuffle": [(1, 8, 16, 16), (1, 8, 8, 8)]}
    plain = [(1, 4, 16, 16), (1, 8, 8, 8), (1, 5, 4, 4)]
    shapes = [model.shape(end) for end in block_ends(model)]
    assert shapes == expected.get(name.split("_")[0], plain)


def test_a_training_export_is_refused() -> None:
    with pytest.raises(ModelError, match=r"training mode.*model\.eval\(\)"):
        load_model(EXPORTS / "training_legacy_13.onnx")


def test_the_hash_is_of_the_file_and_its_data(tmp_path: Path) -> None:
    plain = EXPORTS / "plain_dynamo_18.onnx"
    assert load_model(plain).sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()
    name = "external_dynamo_18.onnx"
    model, data = (Path(shutil.copy(EXPORTS / file, tmp_path)) for file in (name, f"{name}.data"))
    first = load_model(model).sha256
    assert first == hashlib.sha256(model.read_bytes() + data.read_bytes()).hexdigest()
    data.write_bytes(data.read_bytes()[:-1] + b"\0")
    assert load_model(model).sha256 != first


@pytest.mark.parametrize("ir", range(3, 15))
def test_ir_versions(tmp_path: Path, ir: int) -> None:
    """The old ones list their weights among the inputs; ONNX Runtime's answer is the newer file's."""
    proto = onnx.load(EXPORTS / "norm_legacy_11.onnx")
    assert len(proto.graph.input) > 1
    proto.ir_version = ir
    path = tmp_path / "net.onnx"
    onnx.save(proto, path)
    model = load_model(path)
    assert [spec.shape for spec in model.inputs] == [(1, 3, 16, 16)]
    image = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    name = model.inputs[0].name
    expected = run_onnx(EXPORTS / "norm_legacy_11.onnx", {name: image})[0]
    got = run_onnx(model.proto.SerializeToString(), {name: image})[0]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
