"""``load_model``: batch, outputs, names, hash; and what it does with a path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from nincc.errors import UsageError
from nincc.frontend import block_ends, load_model, node_macs, tensor_shapes, with_outputs
from tests.frontend.agreement import Array, agree_proto, build, operators, save, single, weight


def mlpconv(batch: object = 1) -> onnx.ModelProto:
    """Two blocks; the first three nodes have no name."""
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "b"], ["c2"]),
        helper.make_node("Relu", ["c2"], ["r2"], name="end"),
        helper.make_node("MaxPool", ["r2"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "c"], ["c3"], name="Conv_2", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c3", "d"], ["c4"], name="last"),
        helper.make_node("GlobalAveragePool", ["c4"], ["g"], name="mean"),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    weights: dict[str, Array] = {
        "a": weight(4, 3, 3, 3), "b": weight(5, 4, 1, 1), "c": weight(6, 5, 3, 3), "d": weight(7, 6, 1, 1),
    }  # fmt: skip
    return build(nodes, {"x": (batch, 3, 8, 6)}, {"y": (batch, 7)}, weights)


def test_a_fixed_batch_stays_and_needs_no_note(tmp_path: Path) -> None:
    model = agree_proto(mlpconv(2), tmp_path)
    assert (model.batch, model.notes) == (2, ())
    assert load_model(model.path, 2).batch == 2


@pytest.mark.parametrize("dim", ["batch", None])
def test_a_dynamic_batch_is_pinned_and_said_once(tmp_path: Path, dim: object) -> None:
    model = agree_proto(mlpconv(dim), tmp_path)
    assert model.batch == 1
    assert model.notes == ("dynamic batch pinned to 1 (the default; --batch sets it)",)
    assert agree_proto(mlpconv(dim), tmp_path, batch=4).outputs[0].shape == (4, 7)


def test_another_batch_than_the_fixed_one_is_a_usage_error(tmp_path: Path) -> None:
    path = save(mlpconv(2), tmp_path)
    with pytest.raises(UsageError, match="--batch 3 does not fit input 'x' of fixed batch 2"):
        load_model(path, 3)
    for batch in (0, -1):
        with pytest.raises(UsageError, match="not a positive number"):
            load_model(path, batch)


def test_a_missing_path_and_a_folder_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_model(tmp_path / "none.onnx")
    with pytest.raises(UsageError, match="not a file"):
        load_model(tmp_path)


def test_layers_keep_their_names_and_nameless_ones_get_one(tmp_path: Path) -> None:
    model = agree_proto(mlpconv(), tmp_path)
    names = [node.name for node in model.proto.graph.node]
    assert names == [
        "Conv_0", "Relu_0", "Conv_1", "end", "MaxPool_0", "Conv_2", "last", "mean", "Flatten_0",
    ]  # fmt: skip


def test_macs_and_parameters(tmp_path: Path) -> None:
    model = load_model(save(mlpconv(), tmp_path))
    shapes = tensor_shapes(model.proto)
    each = [node_macs(node, shapes) for node in model.proto.graph.node if node.op_type == "Conv"]
    assert each == [4 * 27 * 48, 5 * 4 * 48, 6 * 45 * 12, 7 * 6 * 12]
    assert model.macs == sum(each)
    assert model.parameters == 4 * 27 + 5 * 4 + 6 * 45 + 7 * 6


def test_block_ends_and_further_outputs(tmp_path: Path) -> None:
    model = load_model(save(mlpconv(), tmp_path))
    assert block_ends(model) == ["r2", "c4"]
    more = with_outputs(model, ["r2", "y", "c4"])
    assert [spec.name for spec in more.outputs] == ["y", "r2", "c4"]
    assert more.outputs[1].shape == (1, 5, 8, 6)
    onnx.checker.check_model(more.proto, full_check=True)
    assert len(model.proto.graph.output) == 1
    with pytest.raises(UsageError, match="'nothing' is not a tensor"):
        with_outputs(model, ["nothing"])


def test_a_strided_convolution_ends_a_block_too(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "b"], ["y"], strides=[2, 2]),
    ]
    weights = {"a": weight(4, 3, 1, 1), "b": weight(4, 4, 3, 3)}
    model = load_model(save(build(nodes, {"x": (1, 3, 8, 8)}, {"y": None}, weights), tmp_path))
    assert block_ends(model) == ["r"]


def test_a_net_without_convolutions_is_fine(tmp_path: Path) -> None:
    model = agree_proto(single("Relu", (1, 3, 4, 4)), tmp_path)
    assert block_ends(model) == []
    assert model.macs == 0


def test_nodes_in_any_order_and_dead_ones(tmp_path: Path) -> None:
    proto = mlpconv()
    nodes = list(proto.graph.node)[::-1]
    nodes.append(helper.make_node("NonZero", ["x"], ["dead"]))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    model = load_model(save(proto, tmp_path))
    assert operators(model)[0] == "Conv"
    assert "NonZero" not in operators(model)


def test_several_inputs(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "z"], ["s"]), helper.make_node("Relu", ["s"], ["y"])]
    proto = build(nodes, {"x": ("n", 3, 4, 4), "z": ("n", 3, 1, 1)}, {"y": None})
    model = agree_proto(proto, tmp_path, batch=2)
    assert [spec.shape for spec in model.inputs] == [(2, 3, 4, 4), (2, 3, 1, 1)]


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    """Older PyTorch exporters write one for each operator."""
    domain = "pkg.layers"
    function = helper.make_function(
        domain, "block", ["a", "w"], ["b"],
        [helper.make_node("Conv", ["a", "w"], ["c"]), helper.make_node("Relu", ["c"], ["b"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    nodes = [helper.make_node("block", ["x", "w"], ["y"], domain=domain)]
    proto = build(nodes, {"x": (1, 3, 4, 4)}, {"y": None}, {"w": weight(2, 3, 1, 1)}, opset=18)
    proto.opset_import.append(helper.make_opsetid(domain, 1))
    proto.functions.append(function)
    assert operators(agree_proto(proto, tmp_path)) == ["Conv", "Relu"]


def test_the_canonical_model_is_valid_onnx(tmp_path: Path) -> None:
    model = load_model(save(mlpconv("n"), tmp_path), 2)
    onnx.checker.check_model(model.proto, full_check=True)
    assert np.prod(model.shape("c4")) == 2 * 7 * 4 * 3


def test_loading_needs_no_tvm(tmp_path: Path) -> None:
    path = save(mlpconv(), tmp_path)
    code = (
        "import sys; from nincc.frontend import load_model; load_model(sys.argv[1]);"
        "assert not any(name.split('.')[0] == 'tvm' for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
