"""FoldPadding: explicit zero padding becomes the padding of the convolution that reads it.

before
    %0 = nn.pad(%x, 0f, pad_width=[[0, 0], [0, 0], [t, b], [l, r]])
    nn.conv2d(%0, W, padding=[0, 0, 0, 0])
after
    nn.conv2d(%x, W, padding=[t, l, b, r])

``auto_pad`` and TensorFlow's SAME arrive like this.  Other readers keep reading the padded tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.graph import Graph, Node, is_call, name_of, named, padding4, value

relay = tvm.relay


@dataclass(frozen=True)
class _Padded(Match):
    pad: Node
    padding: tuple[int, int, int, int]


class FoldPadding(PatternPass):
    """pad, then convolution → padded convolution."""

    name = "FoldPadding"
    repeat = True

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """A convolution that reads a zero-padded map."""
        if not is_call(node, "nn.conv2d") or not is_call(node.args[0], "nn.pad"):
            return None
        pad = node.args[0]
        widths = [tuple(int(w) for w in pair) for pair in pad.attrs.pad_width]
        if node.attrs.data_layout != "NCHW" or widths[:2] != [(0, 0), (0, 0)]:
            return Declined(node, (), f"{name_of(node)}: the padding before it is not over height and width alone")
        fill = value(pad.args[1])
        if pad.attrs.pad_mode != "constant" or fill is None or float(fill) != 0.0:
            return Declined(node, (), f"{name_of(node)}: the padding before it is not with zeros")
        if any(width < 0 for pair in widths for width in pair):
            return Declined(node, (), f"{name_of(node)}: the padding before it crops")
        (top, bottom), (left, right) = widths[2:]
        own = padding4(node.attrs.padding)
        padding = (own[0] + top, own[1] + left, own[2] + bottom, own[3] + right)
        inner = (pad,) if graph.read_once(pad) else ()
        return _Padded(node, inner, f"{name_of(node)}: takes the padding before it, now {list(padding)}", pad, padding)

    def emit(self, match: _Padded, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The convolution with the sum of both paddings."""
        node, attrs = match.root, match.root.attrs
        convolution = relay.nn.conv2d(
            new(match.pad.args[0]), new(node.args[1]), strides=attrs.strides, padding=match.padding,
            dilation=attrs.dilation, groups=attrs.groups, channels=attrs.channels,
            kernel_size=attrs.kernel_size, out_dtype=attrs.out_dtype,
        )  # fmt: skip
        return named(convolution, node)
