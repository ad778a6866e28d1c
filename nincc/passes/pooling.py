"""The pattern of a pool whose geometry the packed kernels know."""

from __future__ import annotations

from nincc.kernels.spec import Pooling
from nincc.passes.graph import Node, ints, is_call, is_tensor, padding4, shape


def pooling_of(node: Node) -> Pooling | str | None:
    """The pool that ``node`` computes on an NCHW map; a reason where kernels can't; None if it is no pool."""
    if is_call(node, "nn.global_max_pool2d") and node.attrs.layout == "NCHW":
        height, width = shape(node.args[0])[2:]
        return Pooling("max", (height, width), (1, 1), (0, 0, 0, 0), (1, 1))
    if not is_call(node, "nn.max_pool2d", "nn.avg_pool2d") or not is_tensor(node, 4):
        return None
    attrs = node.attrs
    if attrs.layout != "NCHW":
        return f"its layout is {attrs.layout}"
    kernel, strides, dilation = (ints(v) for v in (attrs.pool_size, attrs.strides, attrs.dilation))
    if dilation[0] != 1 or dilation[-1] != 1:
        return "it is dilated"
    average = is_call(node, "nn.avg_pool2d")
    height, width = shape(node)[2:]
    pool = Pooling(
        "avg" if average else "max",
        (kernel[0], kernel[-1]),
        (strides[0], strides[-1]),
        padding4(attrs.padding),
        (height, width),
        average and bool(attrs.count_include_pad),
    )
    return pool if _sees_the_map(pool, shape(node.args[0])) else "a window of it lies in the padding alone"


def _sees_the_map(pool: Pooling, source: tuple[int, ...]) -> bool:
    """Whether every window holds at least one pixel of the map."""
    top, left, _, _ = pool.padding
    for extent, before, kernel, stride, count in zip(
        source[2:], (top, left), pool.kernel, pool.strides, pool.out_size, strict=True
    ):
        if before >= kernel or (count - 1) * stride - before >= extent:
            return False
    return True
