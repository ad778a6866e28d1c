"""Pooling: windows with exact edges, and the global average."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.emit import Emitter, Expr, View, div, mod
from nincc.kernels.spec import Pair, Pooling, pooling_spec

tir, te = tvm.tir, tvm.te

Read = Callable[[Expr, Expr, Expr], Expr]
"""``read(y, x, c)``: the source's vector of channels from c on, at a pixel of the map."""

UNROLLED_WINDOW = 25


def emit_pooled(
    em: Emitter, pool: Pooling, size: Pair, read: Read, at: tuple[Expr, Expr], channels: int, store: Callable[..., None]
) -> None:
    """Pool one output pixel ``at`` (y, x) of a map of ``size``; ``store(c, vector)`` takes the results.

    Channels are covered as :meth:`Emitter.runs` does, so nothing past ``channels`` is stored; ``read`` may be
    asked for a whole vector when there are fewer channels than lanes, and then ``store`` gets single floats.
    """
    top, left = (em.scalar(o * s - p, "top") for o, s, p in zip(at, pool.strides, pool.padding[:2], strict=True))

    def whole(c: Expr) -> Expr:
        return _whole_window(em, pool, lambda dy, dx: read(top + dy, left + dx, c))

    def clipped(c: Expr) -> Expr:
        return _clipped_window(em, pool, size, read, top, left, c)

    def cover(window: Callable[[Expr], Expr]) -> None:
        if channels >= em.lanes:
            em.runs(channels, lambda c: store(c, window(c)), lambda c: None)
            return
        few = em.stack(em.lanes, "few")
        few.store(0, window(0))
        for c in range(channels):
            store(c, few[c])

    if not pool.edges(size):
        cover(whole)
        return
    inside = [top >= 0, left >= 0, top + pool.kernel[0] <= size[0], left + pool.kernel[1] <= size[1]]
    with em.when(tir.all(*inside)):
        cover(whole)
    with em.otherwise():
        cover(clipped)


def _whole_window(em: Emitter, pool: Pooling, read: Callable[[Expr, Expr], Expr]) -> Expr:
    """The pool of a window that lies in the map."""
    rows, cols = pool.kernel
    total = em.registers(1, "pool")[0]
    if rows * cols <= UNROLLED_WINDOW:
        total.store(0, read(0, 0))
        for i in range(1, rows * cols):
            total.store(0, _combine(pool, total.load(0), read(i // cols, i % cols)))
    else:
        total.store(0, em.broadcast(_neutral(pool)))
        with em.loop(rows, "dy") as dy, em.loop(cols, "dx") as dx:
            total.store(0, _combine(pool, total.load(0), read(dy, dx)))
    return total.load(0) if pool.kind == "max" else total.load(0) * em.broadcast(1.0 / (rows * cols))


def _clipped_window(em: Emitter, pool: Pooling, size: Pair, read: Read, top: Expr, left: Expr, channel: Expr) -> Expr:
    """The pool of a window at the edge: only its part inside the map is read."""
    starts = [tir.max(v, 0) for v in (top, left)]
    ends = [tir.min(v + k, s) for v, k, s in zip((top, left), pool.kernel, size, strict=True)]
    total = em.registers(1, "pool")[0]
    total.store(0, em.broadcast(_neutral(pool)))
    with em.span(starts[0], ends[0], "y") as y, em.span(starts[1], ends[1], "x") as x:
        total.store(0, _combine(pool, total.load(0), read(y, x, channel)))
    if pool.kind == "max":
        return total.load(0)
    if pool.count_include_pad:
        padded_ends = (s + p for s, p in zip(size, pool.padding[2:], strict=True))
        spans = [tir.min(v + k, e) - v for v, k, e in zip((top, left), pool.kernel, padded_ends, strict=True)]
    else:
        spans = [end - start for start, end in zip(starts, ends, strict=True)]
    return total.load(0) * em.broadcast(tir.const(1.0, "float32") / tir.Cast("float32", spans[0] * spans[1]))


def _combine(pool: Pooling, total: Expr, value: Expr) -> Expr:
    return tir.max(total, value) if pool.kind == "max" else total + value


def _neutral(pool: Pooling) -> float:
    return float("-inf") if pool.kind == "max" else 0.0


def pool2d(data: Any, attrs: Mapping[str, Any]) -> Any:
    """``nincc.pool2d``: [N, H, W, Cp] → [N, OH, OW, Cp]."""
    batch, height, width, stride = (int(v) for v in data.shape)
    pool = pooling_spec(attrs)
    rows, cols = pool.out_size

    def body(inputs: Any, outputs: Any) -> Any:
        em = Emitter(int(attrs["lanes"]))
        source, out = em.view(inputs[0]), em.view(outputs[0])
        with em.tasks(batch * rows, int(attrs.get("tasks", 1))) as (_, begin, end), em.span(begin, end, "row") as row:
            image = source.at(div(row, rows) * (height * width * stride))
            with em.loop(cols, "x") as x:
                target = out.at((row * cols + x) * stride)
                read = pixel_reader(image, width, stride)
                emit_pooled(em, pool, (height, width), read, (mod(row, rows), x), stride, target.store)
        return em.ib.get()

    return te.extern((batch, rows, cols, stride), [data], body, name="nincc_pool2d", dtype="float32")


def pixel_reader(image: View, width: int, stride: int) -> Read:
    """Reads vectors of an image stored as [H, width, stride]."""
    return lambda y, x, c: image.load((y * width + x) * stride + c)


def global_avg_pool(data: Any, attrs: Mapping[str, Any]) -> Any:
    """``nincc.global_avg_pool``: [N, H, W, Cp] → [N, 1, 1, Cp]."""
    batch, height, width, stride = (int(v) for v in data.shape)
    lanes, pixels = int(attrs["lanes"]), height * width
    vectors = next(count for count in (4, 2, 1) if stride % (count * lanes) == 0)
    parts = stride // (vectors * lanes)

    def body(inputs: Any, outputs: Any) -> Any:
        em = Emitter(lanes)
        source, out = em.view(inputs[0]), em.view(outputs[0])
        with em.tasks(batch * parts, int(attrs.get("tasks", 1))) as (_, begin, end), em.span(begin, end, "u") as u:
            image, c = div(u, parts), mod(u, parts) * (vectors * lanes)
            total = em.registers(vectors, "sum")
            for register in total:
                register.store(0, em.broadcast(0.0))
            with em.loop(pixels, "p") as p:
                for v, register in enumerate(total):
                    value = source.load((image * pixels + p) * stride + c + v * lanes)
                    register.store(0, register.load(0) + value)
            for v, register in enumerate(total):
                out.store(image * stride + c + v * lanes, register.load(0) * em.broadcast(1.0 / pixels))
        return em.ib.get()

    return te.extern((batch, 1, 1, stride), [data], body, name="nincc_global_avg_pool", dtype="float32")
