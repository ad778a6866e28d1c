"""What is tuned for a GPU: one launch, a convolution or product and the 1×1 convolutions that share it.

Which layers share a launch, and which launches hand on partial sums, is the cost rule's choice; how each launch is cut
is tuned.  A launch that reads partial sums is tuned as if there were ``TYPICAL_SPLIT`` of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from nincc.kernels.cuda.candidates import Layer, Segment
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.rule import TYPICAL_SPLIT
from nincc.kernels.cuda.stage import QUAD
from nincc.kernels.spec import Conv, Pooling
from nincc.records.workload import LAUNCH, Workload


@dataclass(frozen=True)
class LaunchWorkload(Workload):
    """``args``: layout, batch, channels, size (2), kernel (2), strides (2), padding (4), dilation (2), pool (text) of
    the first layer; flat (text); whether it reads partial sums and leaves such (0 or 1); the units of each layer; and
    the epilogue (text), as :class:`nincc.kernels.cuda.plan.Plan` has them.
    """

    @property
    def reads_sums(self) -> bool:
        return bool(self.args[10])

    @property
    def leaves_sums(self) -> bool:
        return bool(self.args[11])

    @property
    def units(self) -> tuple[int, ...]:
        """Output channels of each layer."""
        return tuple(self.args[12])

    @property
    def epilogue(self) -> str:
        return str(self.args[13])

    @property
    def partials(self) -> int:
        """How many partial sums of its source a trial reads; 0: its source is whole."""
        return TYPICAL_SPLIT if self.reads_sums else 0

    def conv(self, lanes: int = QUAD, mr: int = 1, tasks: int = 1) -> Conv:
        """The first layer, with a ReLU behind it."""
        layout, batch, channels, size, kernel, strides, padding, dilation, pool = self.args[:9]
        return Conv(
            layout, batch, channels, size, self.units[0], kernel, strides, padding, dilation, Pooling.parse(pool),
            "relu", lanes, mr, tasks,
        )  # fmt: skip

    @property
    def segment(self) -> Segment:
        """The launch as the cost rule's candidates are made of it."""
        layers = tuple(Layer(units, "relu") for units in self.units)
        source = "relu" if self.reads_sums else "none"
        return Segment(self.conv(), self.args[9], self.partials, source, layers, self.epilogue, self.leaves_sums)

    @property
    def depths(self) -> tuple[int, ...]:
        """The reduction of each layer."""
        conv = self.conv()
        return (prod(conv.kernel) * conv.channels, *self.units[:-1])

    @property
    def product(self) -> tuple[int, int, int]:
        """Pixels, and the last layer's depth and units."""
        conv = self.conv()
        return conv.batch * prod(conv.out_size), self.depths[-1], self.units[-1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates, as the graph defines them."""
        return self.product[0] * sum(map(prod, zip(self.depths, self.units, strict=True)))

    @property
    def bytes(self) -> int:
        """Bytes that any cut moves at least once: input, weights, output."""
        conv = self.conv()
        rows = self.product[0] if self.epilogue == "map" else conv.batch
        source = conv.batch * conv.channels * prod(conv.size) * max(1, self.partials)
        return 4 * (source + self.macs // self.product[0] + rows * self.units[-1])

    def __str__(self) -> str:
        """``launch 5x5 3>192>160>96 32x32``; ``+`` marks the partial sums that it reads or leaves."""
        conv = self.conv()
        (height, width), (down, _) = conv.kernel, conv.strides
        stride = f"/{down}" if down > 1 else ""
        layers = ">".join(map(str, (conv.channels, *self.units)))
        size = "x".join(map(str, conv.input_size))
        batch = f" batch {conv.batch}" if conv.batch > 1 else ""
        pool = f", {conv.pool.kind} pool" if conv.pool else ""
        sums = f"{'+' * self.reads_sums}{layers}{'+' * self.leaves_sums}"
        epilogue = f", {self.epilogue}" if self.epilogue != "map" else ""
        return f"launch {height}x{width}{stride} {sums} {size}{batch}{pool}{epilogue}"


def launch_workload(plan: Plan) -> LaunchWorkload:
    """The workload of a launch that ``plan`` computes; a softmax behind the mean is not told apart."""
    conv = plan.conv
    epilogue = "mean" if plan.epilogue == "softmax" else plan.epilogue
    return LaunchWorkload(
        LAUNCH,
        (conv.layout, conv.batch, conv.channels, conv.size, conv.kernel, conv.strides, conv.padding, conv.dilation,
         str(conv.pool or ""), plan.flat, int(plan.partials > 0), int(plan.split > 1),
         tuple(stage.units for stage in plan.stages), epilogue),
    )  # fmt: skip


def fitted(plan: Plan, real: Plan) -> Plan:
    """``plan``, a tuned cut, for the layers of ``real``: their activations, its source and its end."""
    stages = tuple(
        replace(stage, activation=mine.activation) for stage, mine in zip(plan.stages, real.stages, strict=True)
    )
    return replace(
        plan, conv=real.conv, partials=real.partials, source_activation=real.source_activation, stages=stages,
        epilogue=real.epilogue,
    )  # fmt: skip
