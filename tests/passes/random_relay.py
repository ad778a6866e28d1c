"""Random NINs as the frontend hands them over: everything that passes must cope with, in any mixture."""

from __future__ import annotations

from typing import Any

import numpy as np

from nincc._tvm import tvm
from passes.running import const, layer, module

relay = tvm.relay


def random_net(seed: int) -> Any:
    """A typed module with one input and one to three outputs."""
    return _Net(np.random.default_rng(seed)).build()


class _Net:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.count = 0
        self.outputs: list[Any] = []

    def build(self) -> Any:
        batch, channels, height, width = (int(self.rng.integers(*r)) for r in ((1, 4), (1, 10), (9, 16), (9, 16)))
        x = relay.var("x", shape=(batch, channels, height, width))
        net = self._maybe(x, lambda v: self._norm(v), 0.2)
        for _ in range(int(self.rng.integers(1, 4))):
            net = self._block(net)
        net = self._head(net)
        body = relay.Tuple([net, *self.outputs]) if self.outputs else net
        return module(x, body=body)

    def _block(self, net: Any) -> Any:
        """k×k, then 1×1 convolutions with a residual or a concatenation between them, then a pool."""
        net = self._conv(net, int(self.rng.integers(1, 6)))
        for _ in range(int(self.rng.integers(0, 3))):
            before, net = net, self._conv(net, 1)
            net = self._join(before, net)
        if self.rng.random() < 0.15:
            self.outputs.append(net)
        return self._pool(net)

    def _join(self, a: Any, b: Any) -> Any:
        shape_a, shape_b = self._shape(a), self._shape(b)
        if shape_a == shape_b and self.rng.random() < 0.5:
            return relay.nn.relu(relay.add(a, b))
        if shape_a[2:] == shape_b[2:] and self.rng.random() < 0.3:
            return relay.concatenate([a, b], axis=1)
        return b

    def _conv(self, net: Any, kernel: int) -> Any:
        _, channels, height, width = self._shape(net)
        kernel = min(kernel, height, width)
        units = channels if self.rng.random() < 0.3 else int(self.rng.choice([1, 3, 8, 10, 16, 20]))
        groups = channels if kernel > 1 and self.rng.random() < 0.15 else 1
        units = units if units % groups == 0 else groups
        dilation = 2 if kernel > 1 and 2 * kernel - 1 <= min(height, width) and self.rng.random() < 0.15 else 1
        stride = int(self.rng.choice([1, 1, 1, 2, 3]))
        pads = [int(p) for p in self.rng.integers(0, kernel, 4)] if self.rng.random() < 0.6 else [0] * 4
        weight = self._numbers(units, channels // groups, kernel, kernel) / np.sqrt(channels // groups * kernel**2)
        call = relay.nn.conv2d(
            net, const(weight), strides=(stride, stride), padding=pads, dilation=(dilation, dilation),
            groups=groups, channels=units, kernel_size=(kernel, kernel),
        )  # fmt: skip
        return self._finish(layer(call, self._name("conv")), units)

    def _finish(self, net: Any, units: int) -> Any:
        if self.rng.random() < 0.7:
            net = relay.nn.bias_add(net, const(self._numbers(units)))
        net = self._maybe(net, self._norm, 0.3)
        activation = self.rng.choice(["relu", "relu", "relu6", "sigmoid", "prelu", "none"])
        net = {
            "relu": relay.nn.relu,
            "relu6": lambda v: relay.clip(v, 0.0, 6.0),
            "sigmoid": relay.sigmoid,
            "prelu": lambda v: relay.nn.prelu(v, const(self._numbers(units))),
            "none": lambda v: v,
        }[str(activation)](net)
        return self._maybe(self._maybe(net, self._norm, 0.1), self._there_and_back, 0.15)

    def _norm(self, net: Any) -> Any:
        channels = self._shape(net)[1]
        parameters = [const(self._numbers(channels)) for _ in range(3)]
        variance = const(np.abs(self._numbers(channels)) + 0.5)
        return relay.nn.batch_norm(net, *parameters, variance)[0]

    def _there_and_back(self, net: Any) -> Any:
        """Work on channels last, as TensorFlow's converter writes it."""
        last = relay.transpose(net, [0, 2, 3, 1])
        last = relay.nn.relu(relay.add(last, const(self._numbers(self._shape(net)[1]))))
        return relay.transpose(last, [0, 3, 1, 2])

    def _pool(self, net: Any) -> Any:
        _, _, height, width = self._shape(net)
        size = int(self.rng.integers(2, 4))
        if min(height, width) < size or self.rng.random() < 0.25:
            return net
        pads = [int(p) for p in self.rng.integers(0, size, 4)] if self.rng.random() < 0.3 else [0] * 4
        ceil = bool(self.rng.random() < 0.5) and not any(pads)
        window = {"pool_size": (size, size), "strides": (2, 2), "padding": pads, "ceil_mode": ceil}
        if self.rng.random() < 0.5:
            return layer(relay.nn.max_pool2d(net, **window), self._name("max"))
        include = bool(self.rng.random() < 0.5)
        return layer(relay.nn.avg_pool2d(net, **window, count_include_pad=include), self._name("avg"))

    def _head(self, net: Any) -> Any:
        batch, channels, height, width = self._shape(net)
        kind = int(self.rng.integers(0, 6))
        if kind == 0:  # fully connected on the flattened maps
            net = self._dense(relay.nn.batch_flatten(net), channels * height * width)
        elif kind == 1:  # a kernel that covers the map
            weight = self._numbers(7, channels, height, width) / (height * width)
            net = relay.nn.conv2d(net, const(weight), channels=7, kernel_size=(height, width))
            net = relay.reshape(net, (batch, 7))
        else:
            net = self._global(net, kind)
            net = self._dense(net, channels) if self.rng.random() < 0.3 else net
        return relay.nn.softmax(net, axis=1)

    def _global(self, net: Any, kind: int) -> Any:
        batch, channels, height, width = self._shape(net)
        if kind == 2:
            return relay.squeeze(relay.nn.global_avg_pool2d(net), axis=[2, 3])
        if kind == 3:
            return relay.mean(net, axis=[2, 3])
        if kind == 4:
            return relay.nn.batch_flatten(relay.nn.avg_pool2d(net, pool_size=(height, width)))
        return relay.mean(relay.reshape(net, (batch, channels, height * width)), axis=[2])

    def _dense(self, net: Any, depth: int) -> Any:
        weight = self._numbers(6, depth) / np.sqrt(depth)
        return relay.add(relay.nn.dense(net, const(weight), units=6), const(self._numbers(6)))

    def _maybe(self, net: Any, change: Any, chance: float) -> Any:
        return change(net) if self.rng.random() < chance else net

    def _numbers(self, *shape: int) -> Any:
        return self.rng.standard_normal(shape).astype(np.float32)

    def _name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def _shape(self, net: Any) -> tuple[int, ...]:
        free = relay.analysis.free_vars(net)
        typed = relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(free, net)))
        return tuple(int(extent) for extent in typed["main"].ret_type.shape)
