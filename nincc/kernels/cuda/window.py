"""A pool's window as one expression: a quad of channels of one output pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.cuda.emit import ThreadEmitter
from nincc.kernels.emit import Expr
from nincc.kernels.spec import Pair, Pooling

tir = tvm.tir

Read = Callable[[Expr, Expr], Expr]
"""``read(y, x)``: a quad of a pixel of the map."""


def pooled(em: ThreadEmitter, pool: Pooling, size: Pair, read: Read, at: tuple[Expr, Expr]) -> Expr:
    """Output pixel ``at`` (y, x) of the pool of a map of ``size``; it may stand under a condition."""
    top, left = (o * s - p for o, s, p in zip(at, pool.strides, pool.padding[:2], strict=True))
    (rows, cols), edges = pool.kernel, pool.edges(size)
    total: Any = None
    for dy in range(rows):
        for dx in range(cols):
            value = _element(em, pool, size, read, (top + dy, left + dx), edges)
            total = value if total is None else em.maximum(total, value) if pool.kind == "max" else total + value
    if pool.kind == "max":
        return total
    return total * tir.Broadcast(_share(pool, size, (top, left), edges), em.lanes)


def _element(em: ThreadEmitter, pool: Pooling, size: Pair, read: Read, at: tuple[Expr, Expr], edges: bool) -> Expr:
    """One element of the window.  Beyond the edge a maximum takes the edge's, which is in the window too."""
    y, x = at
    if not edges:
        return read(y, x)
    if pool.kind == "max":
        return read(_clamped(y, size[0]), _clamped(x, size[1]))
    inside = tir.all(y >= 0, y < size[0], x >= 0, x < size[1])
    return tir.if_then_else(inside, read(y, x), em.zero())


def _clamped(at: Expr, extent: int) -> Expr:
    return tir.max(tir.min(at, tir.const(extent - 1, "int32")), tir.const(0, "int32"))


def _share(pool: Pooling, size: Pair, corner: tuple[Expr, Expr], edges: bool) -> Expr:
    """One by the number of elements that an average counts."""
    if not edges:
        return tir.const(1.0 / (pool.kernel[0] * pool.kernel[1]), "float32")
    spans = []
    for start, kernel, extent, after in zip(corner, pool.kernel, size, pool.padding[2:], strict=True):
        if pool.count_include_pad:
            spans.append(tir.min(start + kernel, tir.const(extent + after, "int32")) - start)
        else:
            end = tir.min(start + kernel, tir.const(extent, "int32"))
            spans.append(end - tir.max(start, tir.const(0, "int32")))
    return tir.const(1.0, "float32") / tir.Cast("float32", spans[0] * spans[1])
