"""Networks-in-network that nobody designed: drawn from a seed, to show that nothing is made for the published ones.

Channels 1 to 200, kernels 1 to 11 (some not square), strides, even and uneven padding, both pools with and without
ceil, odd map sizes, batch 1 to 9, two to four blocks, heads with and without ReLU before the mean and with and
without softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nincc.errors import InternalError
from nincc.zoo import IR_VERSION, OPSET

Pair = tuple[int, int]
Quad = tuple[int, int, int, int]  # top, left, bottom, right

#: Multiply-accumulates of one inference, batch included: from the overhead of a call to some 10 ms.
BUDGET, SMALL_BUDGET = (2e6, 5e8), (2e4, 3e6)
_KERNELS = (1, 2, 3, 3, 3, 4, 5, 5, 5, 6, 7, 7, 8, 9, 10, 11)
_TRIES = 100_000


@dataclass(frozen=True)
class Window:
    """A kernel or pool of ``size``, its strides and its padding; ``ceil`` lets the last one hang over the edge."""

    size: Pair
    strides: Pair
    pads: Quad
    ceil: bool = False

    def output(self, extent: Pair) -> Pair:
        """The map that remains of one of ``extent`` = (height, width); below 1 where there is none."""
        return self._along(0, extent[0]), self._along(1, extent[1])

    def _along(self, axis: int, extent: int) -> int:
        begin, end, stride = self.pads[axis], self.pads[axis + 2], self.strides[axis]
        room = extent + begin + end - self.size[axis]
        if not self.ceil:
            return room // stride + 1
        count = -(-room // stride) + 1
        return count - ((count - 1) * stride >= extent + begin)  # a window must start before the end padding


@dataclass(frozen=True)
class Convolution:
    """``maps`` channels out, bias, ReLU behind unless it ends a linear head."""

    name: str
    maps: int
    window: Window
    relu: bool = True


@dataclass(frozen=True)
class Pooling:
    """``op`` is MaxPool or AveragePool; ``attributes`` are those a window has not."""

    name: str
    op: str
    window: Window
    attributes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Plan:
    """A net without weights: input shape [batch, channels, height, width], layers and head."""

    shape: tuple[int, int, int, int]
    layers: tuple[Convolution | Pooling, ...]
    softmax: bool

    def macs(self) -> int:
        """Multiply-accumulates of one inference, 0 where a map vanishes on the way."""
        batch, channels, extent, total = self.shape[0], self.shape[1], self.shape[2:], 0
        for layer in self.layers:
            extent = layer.window.output(extent)
            if min(extent) < 1:
                return 0
            if isinstance(layer, Convolution):
                total += batch * layer.maps * channels * prod(extent) * prod(layer.window.size)
                channels = layer.maps
        return total


def random_net(seed: int, small: bool = False) -> onnx.ModelProto:
    """The net of ``seed`` as a checked ONNX model; the same arguments give the same bytes.

    ``small`` draws nets of at most 3 million multiply-accumulates, for tests.
    """
    rng = np.random.default_rng([seed, int(small)])
    plan = random_plan(rng, SMALL_BUDGET if small else BUDGET)
    model = helper.make_model(
        _Graph(plan, rng).finish(f"random-{seed}"),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="nincc",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def random_plan(rng: np.random.Generator, budget: tuple[float, float]) -> Plan:
    """A plan whose cost lies near a point drawn log-uniformly from ``budget``: cheap and dear nets alike."""
    goal = float(np.exp(rng.uniform(log(budget[0]), log(budget[1]))))
    for _ in range(_TRIES):
        plan = _draw(rng)
        if goal / 2 <= plan.macs() <= goal:
            return plan
    raise InternalError(f"no random net of about {goal:.0f} multiply-accumulates was found")


def _draw(rng: np.random.Generator) -> Plan:
    batch = int(rng.choice([1, 1, 1, *range(2, 10)]))
    channels = int(rng.choice([1, 3, 3, 3, int(rng.integers(1, 33))]))
    side = int(rng.integers(7, 80))
    width = side if rng.random() < 0.6 else int(rng.integers(7, 80))
    layers: list[Convolution | Pooling] = []
    blocks = int(rng.integers(2, 5))
    most = int(rng.choice([12, 48, 200, 200]))  # a narrow net now and then
    for block in range(1, blocks + 1):
        layers += _block(rng, block, most)
        if block < blocks and rng.random() < 0.8:
            layers.append(_pooling(rng, f"pool{block}"))
    last = layers[-1]
    assert isinstance(last, Convolution)
    maps = max(2, last.maps)  # softmax of one class is 1, whatever went before
    layers[-1] = Convolution(last.name, maps, last.window, relu=bool(rng.random() < 0.5))
    return Plan((batch, channels, side, width), tuple(layers), softmax=bool(rng.random() < 0.7))


def _block(rng: np.random.Generator, block: int, most: int) -> list[Convolution | Pooling]:
    """A k x k convolution and one to three 1 x 1."""
    layers: list[Convolution | Pooling] = [
        Convolution(f"conv{block}", int(rng.integers(1, most + 1)), _kernel(rng))
    ]
    for index in range(int(rng.integers(1, 4))):
        window = Window((1, 1), (1, 1), (0, 0, 0, 0))
        layers.append(Convolution(f"cccp{block}_{index + 1}", int(rng.integers(1, most + 1)), window))
    return layers


def _kernel(rng: np.random.Generator) -> Window:
    height = int(rng.choice(_KERNELS))
    width = height if rng.random() < 0.85 else int(rng.choice(_KERNELS))
    stride = int(rng.choice([1, 1, 1, 1, 2, 2, 3, 4]))
    strides = (min(stride, height), min(stride, width))
    kind = rng.random()
    pads = (height // 2, width // 2, height // 2, width // 2)  # "same" for odd kernels
    if kind < 0.3:
        pads = (0, 0, 0, 0)
    elif kind < 0.45:
        pads = _pads(rng, height, width)
    return Window((height, width), strides, pads)


def _pooling(rng: np.random.Generator, name: str) -> Pooling:
    size, stride = int(rng.integers(2, 4)), int(rng.choice([1, 2, 2, 2, 3]))
    pads = (0, 0, 0, 0) if rng.random() < 0.6 else _pads(rng, size, size)
    window = Window((size, size), (stride, stride), pads, ceil=bool(rng.random() < 0.5))
    if rng.random() < 0.5:
        return Pooling(name, "MaxPool", window)
    return Pooling(name, "AveragePool", window, (("count_include_pad", int(rng.random() < 0.5)),))


def _pads(rng: np.random.Generator, height: int, width: int) -> Quad:
    """Uneven padding of at most half the window."""
    top, bottom = rng.integers(0, height // 2 + 1, 2)
    left, right = rng.integers(0, width // 2 + 1, 2)
    return int(top), int(left), int(bottom), int(right)


class _Graph:
    """Turns a plan into nodes and He-scaled weights."""

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        self._plan, self._rng = plan, rng
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._tensor, self._channels = "data", plan.shape[1]

    def finish(self, name: str) -> onnx.GraphProto:
        for layer in self._plan.layers:
            self._convolve(layer) if isinstance(layer, Convolution) else self._pool(layer)
        self._node("GlobalAveragePool", "gap")
        self._node("Flatten", "flat", axis=1)
        if self._plan.softmax:
            self._node("Softmax", "prob", axis=1)
        inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, self._plan.shape)]
        shape = (self._plan.shape[0], self._channels)
        outputs = [helper.make_tensor_value_info(self._tensor, TensorProto.FLOAT, shape)]
        return helper.make_graph(self._nodes, name, inputs, outputs, self._weights)

    def _convolve(self, layer: Convolution) -> None:
        shape = (layer.maps, self._channels, *layer.window.size)
        deviation = np.float32(np.sqrt(2 / prod(shape[1:])))
        weight = self._rng.standard_normal(shape, dtype=np.float32) * deviation
        # Mostly positive, or ReLU would silence narrow nets, and a silent net hides errors.
        bias = np.float32(0.2) + self._rng.standard_normal(layer.maps, dtype=np.float32) * np.float32(0.1)
        for suffix, values in (("weight", weight), ("bias", bias)):
            self._weights.append(numpy_helper.from_array(values, f"{layer.name}.{suffix}"))
        self._node("Conv", layer.name, f"{layer.name}.weight", f"{layer.name}.bias", **_attributes(layer.window))
        if layer.relu:
            self._node("Relu", f"{layer.name}.relu")
        self._channels = layer.maps

    def _pool(self, layer: Pooling) -> None:
        more = {**dict(layer.attributes), "ceil_mode": int(layer.window.ceil)}
        self._node(layer.op, layer.name, **_attributes(layer.window), **more)

    def _node(self, op: str, output: str, *weights: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op, [self._tensor, *weights], [output], name=output, **attributes))
        self._tensor = output


def _attributes(window: Window) -> dict[str, Any]:
    return {"kernel_shape": list(window.size), "strides": list(window.strides), "pads": list(window.pads)}
