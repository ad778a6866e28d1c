"""FuseHead (GPU): the softmax behind the mean over the maps is done by the launch that takes the mean.

before
    %0 = nincc.cuda_mean(%sums, softmax=0, …)                 or nincc.cuda_mlpconv(…, epilogue="mean")
    nn.softmax(reshape(nincc.unpack(%0, channels=K)))
after
    reshape(nincc.cuda_mean(%sums, softmax=K, …))             or nincc.cuda_mlpconv(…, epilogue="softmax")

Where blocks share an image's classes, the softmax gets a launch of its own, a block an image:
    nincc.cuda_mean(reshape(nincc.cuda_mlpconv(…, slices=S, epilogue="mean")), pixels=1, softmax=K, …)
Not where the means have another reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.kernels.cuda.plan_attrs import plan_of
from nincc.kernels.ops import call
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.graph import Graph, Node, is_call, is_tensor, name_of, named, shape
from nincc.passes.launches import mean_threads
from nincc.passes.packed import attributes
from nincc.passes.simplify_reshape import is_reshape

relay = tvm.relay


@dataclass(frozen=True)
class _Head(Match):
    mean: Node
    classes: int


class FuseHead(PatternPass):
    """``nn.softmax`` of means → the mean's own launch."""

    name = "FuseHead"

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """A softmax over the classes of each image, on what only it reads."""
        if not is_call(node, "nn.softmax") or not is_tensor(node):
            return None
        chain = [node.args[0]]
        while is_call(chain[-1], "nincc.unpack") or is_reshape(chain[-1]):
            chain.append(chain[-1].args[0])
        mean = chain[-1]
        if not is_call(mean, "nincc.cuda_mean", "nincc.cuda_mlpconv") or not _is_mean(mean):
            return Declined(node, (), f"{name_of(node)}: no mean over maps stands right before it")
        classes = _classes(node, shape(mean)[0])
        if classes is None:
            return Declined(node, (), f"{name_of(node)}: it is not over an image's classes")
        if not all(graph.read_once(inner) for inner in chain):
            return Declined(node, (), f"{name_of(node)}: the means have another reader")
        layer = attributes(mean)["layer"]
        text = f"{name_of(node)}: softmax in the launch of {layer}'s mean"
        if _in_slices(mean):
            text = f"{name_of(node)}: softmax in a launch of its own, for several blocks share an image of {layer}"
        return _Head(node, tuple(chain), text, mean, classes)

    def emit(self, match: _Head, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The mean with its softmax, in the shape that the graph wants."""
        result = _softmax(match, [new(arg) for arg in match.mean.args])
        wanted = shape(match.root)
        if wanted == (wanted[0], match.classes):
            return result
        return named(relay.reshape(result, wanted), match.root)


def _softmax(match: _Head, args: list[Node]) -> Node:
    """The launch that ends with the softmax, [N, classes]; ``args`` are the mean's."""
    mean, attrs = match.mean, attributes(match.mean)
    if not _in_slices(mean):
        attrs |= {"softmax": match.classes} if is_call(mean, "nincc.cuda_mean") else {"epilogue": "softmax"}
        return call(mean.op.name, args, **attrs)
    batch, _, _, width = shape(mean)
    means = relay.reshape(call(mean.op.name, args, **attrs), (batch, 1, width))
    return call(
        "nincc.cuda_mean", [means], pixels=1, softmax=match.classes, threads=mean_threads(width),
        layer=name_of(match.root), macs=0, reason="rule: several blocks share an image's classes",
    )  # fmt: skip


def _in_slices(mean: Node) -> bool:
    """Whether blocks share an image's classes."""
    return bool(is_call(mean, "nincc.cuda_mlpconv")) and int(attributes(mean)["slices"]) > 1


def _is_mean(node: Node) -> bool:
    if is_call(node, "nincc.cuda_mean"):
        return int(attributes(node)["softmax"]) == 0
    return plan_of(shape(node.args[0]), attributes(node)).epilogue == "mean"


def _classes(softmax: Node, batch: int) -> int | None:
    """The extent that ``softmax`` normalises if that is all there is of an image."""
    extents = shape(softmax)
    axis = int(softmax.attrs.axis) % len(extents)
    others = [extent for i, extent in enumerate(extents) if i not in (0, axis)]
    if axis == 0 or extents[0] != batch or any(extent != 1 for extent in others):
        return None
    return extents[axis]
