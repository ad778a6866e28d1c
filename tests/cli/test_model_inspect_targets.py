"""``nincc model``, ``inspect`` and ``targets``."""

from __future__ import annotations

import json

import onnx
import pytest

from nincc import zoo
from nincc.target import target_names
from tests.artefacts import small
from tests.cli.process import as_json, fail, nincc, succeed


def test_model_writes_a_net(tmp_path):
    text = succeed("model", "nin-mnist", "-o", tmp_path / "new" / "m.onnx", "--batch", 2)
    assert "nin-mnist" in text and f"{2 * zoo.NETS['nin-mnist'].macs:,} multiply-accumulates" in text
    proto = onnx.load(tmp_path / "new" / "m.onnx")
    assert [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim] == [2, 1, 28, 28]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.onnx"]


def test_model_is_the_same_for_the_same_seed(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        data = as_json("model", "nin-mnist", "-o", tmp_path / name, "--seed", seed)
    assert data == {
        "name": "nin-mnist",
        "file": str(tmp_path / "c"),
        "batch": 1,
        "seed": 4,
        "macs": zoo.NETS["nin-mnist"].macs,
        "parameters": zoo.NETS["nin-mnist"].parameters,
    }
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_model_help_names_every_net():
    text = " ".join(succeed("model", "--help").split())
    assert all(name in text for name in zoo.names())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nin-foo", "-o", "x.onnx"], "unknown net 'nin-foo'; known nets: nin-cifar10"),
        (["nin-mnist", "-o", "x.onnx", "--batch", "0"], "batch must be at least 1"),
        (["nin-mnist", "-o", "/proc/nowhere/x.onnx"], "/proc/nowhere/x.onnx: cannot write"),
    ],
)
def test_model_errors(arguments, message, tmp_path):
    assert message in fail(2, "model", *arguments, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_inspect_a_model(digits_relu):
    text = succeed("inspect", digits_relu)
    assert "input image  1 x 1 x 28 x 28" in text
    assert "3,530,352" in text.splitlines()[-1]
    data = as_json("inspect", digits_relu)
    assert data["macs"] == 3530352 == sum(layer["macs"] for layer in data["layers"])
    assert data["outputs"] == [{"name": "scores", "shape": [1, 10], "dtype": "float32"}]


def test_inspect_says_once_that_the_batch_is_pinned(digits_linear):
    done = nincc("inspect", digits_linear, "--batch", 4, "--json")
    assert done.stderr == "note: dynamic batch pinned to 4 (--batch)\n"
    assert '"batch": 4' in done.stdout


def test_inspect_an_artefact():
    text = succeed("inspect", small().folder)
    assert "small for x86-64-v3 (glibc), verified (native, 4 inputs)" in text
    for word in ("weights", "workspace", "context", "libsmall.so", "conv1", "total"):
        assert word in text
    data = as_json("inspect", small().folder)
    assert data["kind"] == "artefact"
    assert data["file_bytes"]["libsmall.so"] == (small().folder / "libsmall.so").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.onnx"], "none.onnx: no such file or folder"),
        (["."], ".: is no artefact: it has no manifest.json; give the folder that 'nincc compile -o' wrote"),
    ],
)
def test_inspect_errors(arguments, message, tmp_path):
    assert message in fail(2, "inspect", *arguments, cwd=tmp_path)


def test_inspect_a_truncated_model(tmp_path, digits_relu):
    (tmp_path / "cut.onnx").write_bytes(digits_relu.read_bytes()[:5000])
    assert "cut.onnx" in fail(2, "inspect", "cut.onnx", cwd=tmp_path)


def test_inspect_takes_no_batch_for_an_artefact():
    assert "batch is fixed" in fail(2, "inspect", small().folder, "--batch", 2)


def test_targets_lists_all():
    text = succeed("targets")
    assert all(name in text for name in target_names())
    assert [target["name"] for target in as_json("targets")] == target_names()


def test_one_target_by_alias_and_by_file(tmp_path):
    assert "x86-64-v3" in succeed("targets", "x86")
    data = as_json("targets", "x86")
    assert data["lanes"] == 8
    assert isinstance(data["runs_here"], bool)
    lines = [f"{key} = {_toml(value)}" for key, value in data.items() if key not in ("name", "runs_here")]
    (tmp_path / "mine.toml").write_text("\n".join(lines))
    assert as_json("targets", "mine.toml", cwd=tmp_path) == {**data, "name": "mine"}


def _toml(value):
    """TOML of a number, a text or a list of texts, for which JSON's form is the same."""
    return json.dumps(value)
