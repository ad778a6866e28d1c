"""nincc.zoo: the published nets, held against their published counts."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from nincc import zoo
from nincc.errors import UsageError
from nincc.macs import count_layers, total_macs, total_parameters

# Published: Caffe model zoo, the paper's code, Dive into Deep Learning.  MACs leave the bias out.
PUBLISHED = {
    "nin-cifar10": ((3, 32, 32), 10, 222_486_528, 966_986),
    "nin-cifar100": ((3, 32, 32), 100, 223_592_448, 984_356),
    "nin-mnist": ((1, 28, 28), 10, 50_699_712, 349_674),
    "nin-svhn": ((3, 32, 32), 10, 274_235_392, 1_986_026),
    "nin-imagenet": ((3, 224, 224), 1000, 1_100_188_800, 7_595_176),
    "nin-d2l": ((1, 224, 224), 10, 762_297_352, 1_992_166),
}


def run(model: onnx.ModelProto, tensor: str, images: np.ndarray) -> np.ndarray:
    """The value of any tensor of the graph, by ONNX Runtime."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    if tensor not in {output.name for output in probe.graph.output}:
        probe.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([tensor], {"data": images})[0]


def test_names_are_the_published_nets() -> None:
    assert zoo.names() == list(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("batch", [1, 3])
def test_counts_are_the_published_ones(name: str, batch: int) -> None:
    shape, classes, macs, parameters = PUBLISHED[name]
    layers = count_layers(zoo.build(name, batch=batch))
    assert layers[0].input_shape == (batch, *shape)
    assert layers[-1].output_shape == (batch, classes)
    assert total_macs(layers) == batch * macs
    assert total_parameters(layers) == parameters


def test_table_repeats_the_published_counts() -> None:
    for name, (shape, _, macs, parameters) in PUBLISHED.items():
        net = zoo.NETS[name]
        assert (net.input_shape, net.macs, net.parameters) == (shape, macs, parameters)


@pytest.mark.parametrize(
    ("name", "pooled"),
    [
        ("nin-cifar10", [16, 8]),
        ("nin-mnist", [14, 7]),
        ("nin-svhn", [16, 8]),
        ("nin-imagenet", [27, 13, 6]),
        ("nin-d2l", [26, 12, 5]),
    ],
)
def test_pools_leave_the_known_maps(name: str, pooled: list[int]) -> None:
    pools = [layer for layer in count_layers(zoo.build(name)) if layer.op in ("MaxPool", "AveragePool")]
    assert [layer.output_shape[2:] for layer in pools] == [(side, side) for side in pooled]


def test_cifar_has_caffes_pools() -> None:
    ops = [node.op_type for node in zoo.build("nin-cifar10").graph.node if "Pool" in node.op_type]
    assert ops == ["MaxPool", "AveragePool", "GlobalAveragePool"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_convolution_has_relu_and_the_head_is_the_published_one(name: str) -> None:
    nodes = zoo.build(name).graph.node
    convs = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    assert all(nodes[index + 1].op_type == "Relu" for index in convs)
    tail = [node.op_type for node in nodes[convs[-1] + 2 :]]
    assert tail == ["GlobalAveragePool", "Flatten"] + ["Softmax"] * (name != "nin-d2l")


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("seed", [0, 1])
def test_logits_differ(name: str, seed: int) -> None:
    model = zoo.build(name, batch=2, seed=seed)
    images = np.random.default_rng(seed).standard_normal((2, *PUBLISHED[name][0]), dtype=np.float32)
    assert run(model, "gap", images).std(axis=1).min() >= 1
    if name != "nin-d2l":
        np.testing.assert_allclose(run(model, "prob", images).sum(axis=1), 1, atol=1e-5)


def test_same_seed_same_bytes_and_another_seed_other_weights() -> None:
    first = zoo.build("nin-mnist", seed=4).SerializeToString(deterministic=True)
    assert first == zoo.build("nin-mnist", seed=4).SerializeToString(deterministic=True)
    assert first != zoo.build("nin-mnist", seed=5).SerializeToString(deterministic=True)


def test_unknown_net_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown net 'nin'.*nin-cifar10.*nin-d2l"):
        zoo.build("nin")


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"batch": -1}, {"seed": -1}])
def test_impossible_numbers_are_usage_errors(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=str(next(iter(wrong.values())))):
        zoo.build("nin-mnist", **wrong)
