"""The published Network-in-Network models as ONNX graphs with seeded weights.

Layers are those of the Caffe model zoo (nin-cifar10, nin-cifar100, nin-imagenet), of the paper's
own code (nin-mnist, nin-svhn; Lin, Chen, Yan 2013, arXiv:1312.4400) and of Dive into Deep
Learning (nin-d2l).  The weights are not trained: they are drawn with He's scale, so that every
layer's values and the logits keep a realistic spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nincc.errors import UsageError

OPSET = 17
IR_VERSION = 8


@dataclass(frozen=True)
class Conv:
    """A square convolution with bias, followed by ReLU."""

    name: str
    maps: int
    kernel: int = 1
    stride: int = 1
    pad: int = 0


@dataclass(frozen=True)
class Pool:
    """A 3x3 pool of stride 2 without padding; ``ceil`` lets the last window hang over the edge."""

    name: str
    op: str = "MaxPool"
    ceil: bool = True


@dataclass(frozen=True)
class Net:
    """A published net; ``macs`` (one image, without bias) and ``parameters`` are its known counts.

    ``gain`` scales the last convolution's weights so that the logits' standard deviation is at
    least 1 on standard normal inputs.
    """

    input_shape: tuple[int, int, int]
    layers: tuple[Conv | Pool, ...]
    macs: int
    parameters: int
    gain: float = 1.0
    softmax: bool = True


def _cifar(classes: int) -> tuple[Conv | Pool, ...]:
    return (
        *(Conv("conv1", 192, 5, pad=2), Conv("cccp1", 160), Conv("cccp2", 96), Pool("pool1")),
        *(Conv("conv2", 192, 5, pad=2), Conv("cccp3", 192), Conv("cccp4", 192), Pool("pool2", "AveragePool")),
        *(Conv("conv3", 192, 3, pad=1), Conv("cccp5", 192), Conv("cccp6", classes)),
    )


def _three_blocks(*maps: int) -> tuple[Conv | Pool, ...]:
    """Three mlpconv blocks of 5x5 convolutions, as in the paper's code for MNIST and SVHN."""
    a, b, c = maps[0:3], maps[3:6], maps[6:9]
    return (
        *(Conv("conv1", a[0], 5, pad=2), Conv("cccp1", a[1]), Conv("cccp2", a[2]), Pool("pool1")),
        *(Conv("conv2", b[0], 5, pad=2), Conv("cccp3", b[1]), Conv("cccp4", b[2]), Pool("pool2")),
        *(Conv("conv3", c[0], 5, pad=2), Conv("cccp5", c[1]), Conv("cccp6", c[2])),
    )


def _imagenet(last: tuple[int, int, int], ceil: bool) -> tuple[Conv | Pool, ...]:
    return (
        *(Conv("conv1", 96, 11, stride=4), Conv("cccp1", 96), Conv("cccp2", 96), Pool("pool1", ceil=ceil)),
        *(Conv("conv2", 256, 5, pad=2), Conv("cccp3", 256), Conv("cccp4", 256), Pool("pool2", ceil=ceil)),
        *(Conv("conv3", 384, 3, pad=1), Conv("cccp5", 384), Conv("cccp6", 384), Pool("pool3", ceil=ceil)),
        *(Conv("conv4", last[0], 3, pad=1), Conv("cccp7", last[1]), Conv("cccp8", last[2])),
    )


NETS = {
    "nin-cifar10": Net((3, 32, 32), _cifar(10), 222_486_528, 966_986, gain=2.0),
    "nin-cifar100": Net((3, 32, 32), _cifar(100), 223_592_448, 984_356, gain=1.5),
    "nin-mnist": Net(
        (1, 28, 28), _three_blocks(96, 64, 48, 128, 96, 48, 128, 96, 10), 50_699_712, 349_674, gain=2.0
    ),
    "nin-svhn": Net(
        (3, 32, 32), _three_blocks(128, 96, 64, 320, 256, 128, 384, 256, 10), 274_235_392, 1_986_026, gain=2.0
    ),
    "nin-imagenet": Net((3, 224, 224), _imagenet((1024, 1024, 1000), ceil=True), 1_100_188_800, 7_595_176),
    "nin-d2l": Net(
        (1, 224, 224), _imagenet((10, 10, 10), ceil=False), 762_297_352, 1_992_166, gain=2.0, softmax=False
    ),
}


def names() -> list[str]:
    """The nets that :func:`build` knows, in the order they are listed to a user."""
    return list(NETS)


def build(name: str, batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """The net as a checked ONNX model: input ``data`` [batch, C, H, W], output ``prob`` (or ``logits``).

    The same name, batch and seed give the same bytes.  Raises UsageError for an unknown name, a
    batch below 1 or a negative seed.
    """
    if name not in NETS:
        raise UsageError(f"unknown net '{name}'", hint="known nets: " + ", ".join(NETS))
    if batch < 1:
        raise UsageError(f"batch must be at least 1, not {batch}", hint="leave --batch out for 1")
    if seed < 0:
        raise UsageError(f"seed must not be negative, but is {seed}", hint="leave --seed out for 0")
    graph = _Graph(NETS[name], np.random.default_rng(seed))
    model = helper.make_model(
        graph.finish(name, batch),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="nincc",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Collects a net's nodes and weights while it walks down the layers."""

    def __init__(self, net: Net, rng: np.random.Generator) -> None:
        self.net = net
        self.rng = rng
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.tensor = "data"
        self.channels = net.input_shape[0]

    def finish(self, name: str, batch: int) -> onnx.GraphProto:
        for layer in self.net.layers:
            self._conv(layer) if isinstance(layer, Conv) else self._pool(layer)
        self._node("GlobalAveragePool", "gap")
        last = "flat" if self.net.softmax else "logits"
        self._node("Flatten", last, axis=1)
        if self.net.softmax:
            self._node("Softmax", "prob", axis=1)
        inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, (batch, *self.net.input_shape))]
        outputs = [helper.make_tensor_value_info(self.tensor, TensorProto.FLOAT, (batch, self.channels))]
        return helper.make_graph(self.nodes, name, inputs, outputs, self.weights)

    def _conv(self, layer: Conv) -> None:
        gain = self.net.gain if layer is self.net.layers[-1] else 1.0
        shape = (layer.maps, self.channels, layer.kernel, layer.kernel)
        deviation = gain * np.sqrt(2 / (self.channels * layer.kernel**2))
        weight = self._weight(f"{layer.name}.weight", shape, deviation)
        bias = self._weight(f"{layer.name}.bias", (layer.maps,), 0.05)
        window = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "pads": [layer.pad] * 4}
        self._node("Conv", layer.name, weight, bias, **window)
        self._node("Relu", f"{layer.name}.relu")
        self.channels = layer.maps

    def _pool(self, layer: Pool) -> None:
        self._node(layer.op, layer.name, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=int(layer.ceil))

    def _weight(self, name: str, shape: tuple[int, ...], deviation: float) -> str:
        values = self.rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def _node(self, op: str, output: str, *weights: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op, [self.tensor, *weights], [output], name=output, **attributes))
        self.tensor = output
