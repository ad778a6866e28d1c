"""Between NCHW and the packed layout ``[N, H, W, Cp]``: transposes of lanes × lanes blocks in registers.

Element by element, one side would be read or written a cache line apart, and where planes are a power of two
apart all of those lines share a cache set: over 20 times slower for 192 maps of 32 × 32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.emit import Emitter, Expr, View, div, mod
from nincc.kernels.spec import round_up

tir, te = tvm.tir, tvm.te


UNPACK_LANES = 8
"""Lanes of a block where the attributes give none: a lanes × lanes block is to stay in registers."""


@dataclass(frozen=True)
class Block:
    """``count`` channels (at most ``lanes``; a constant) of all pixels of one image, in both layouts.

    ``planes`` starts at its first channel's plane, ``packed`` at its first channel of pixel 0.
    """

    em: Emitter
    planes: View
    packed: View
    count: int
    pixels: int
    stride: int


def pack(data: Any, attrs: Mapping[str, Any]) -> Any:
    """``nincc.pack``: [N, C, H, W] → [N, H, W, Cp]; the padding lanes are zero."""
    batch, channels, height, width = (int(v) for v in data.shape)
    stride = round_up(channels, int(attrs["lanes"]))

    def body(inputs: Any, outputs: Any) -> Any:
        em = Emitter(int(attrs["lanes"]))
        whole = Block(em, em.view(inputs[0]), em.view(outputs[0]), channels, height * width, stride)
        _each_block(whole, batch, int(attrs.get("tasks", 1)), _pack_block)
        return em.ib.get()

    return te.extern((batch, height, width, stride), [data], body, name="nincc_pack", dtype="float32")


def unpack(data: Any, attrs: Mapping[str, Any]) -> Any:
    """``nincc.unpack``: [N, H, W, Cp] → [N, C, H, W]."""
    batch, height, width, stride = (int(v) for v in data.shape)
    channels = int(attrs["channels"])

    def body(inputs: Any, outputs: Any) -> Any:
        em = Emitter(min(int(attrs.get("lanes", UNPACK_LANES)), stride & -stride))
        whole = Block(em, em.view(outputs[0]), em.view(inputs[0]), channels, height * width, stride)
        _each_block(whole, batch, int(attrs.get("tasks", 1)), _unpack_block)
        return em.ib.get()

    return te.extern((batch, channels, height, width), [data], body, name="nincc_unpack", dtype="float32")


def _each_block(whole: Block, batch: int, tasks: int, move: Callable[[Block], None]) -> None:
    """Share the blocks of ``lanes`` channels of all images among tasks; each is ``lanes`` streams of pixels."""
    em = whole.em
    blocks, rest = -(-whole.count // em.lanes), whole.count % em.lanes
    with em.tasks(batch * blocks, tasks) as (_, begin, end), em.span(begin, end, "unit") as unit:
        image, number = em.scalar(div(unit, blocks), "image"), em.scalar(mod(unit, blocks), "number")
        planes = whole.planes.at((image * whole.count + number * em.lanes) * whole.pixels)
        packed = whole.packed.at(image * (whole.pixels * whole.stride) + number * em.lanes)
        block = replace(whole, planes=planes, packed=packed, count=em.lanes)
        if not rest:
            move(block)
            return
        with em.when(number < blocks - 1):
            move(block)
        with em.otherwise():
            move(replace(block, count=rest))


def _pack_block(block: Block) -> None:
    em, planes, packed = block.em, block.planes, block.packed
    with em.loop(block.pixels // em.lanes, "p") as p:
        rows = [planes.load(c * block.pixels + p * em.lanes) for c in range(block.count)]
        rows += [em.broadcast(0.0)] * (em.lanes - block.count)
        for i, vector in enumerate(transposed(em, rows)):
            packed.store((p * em.lanes + i) * block.stride, vector)
    with _pixels_left(block) as p:
        for c in range(em.lanes):
            packed[p * block.stride + c] = planes[c * block.pixels + p] if c < block.count else 0.0


def _unpack_block(block: Block) -> None:
    em, planes, packed = block.em, block.planes, block.packed
    with em.loop(block.pixels // em.lanes, "p") as p:
        rows = [packed.load((p * em.lanes + i) * block.stride) for i in range(em.lanes)]
        for c, vector in enumerate(transposed(em, rows)[: block.count]):
            planes.store(c * block.pixels + p * em.lanes, vector)
    with _pixels_left(block) as p:
        for c in range(block.count):
            planes[c * block.pixels + p] = packed[p * block.stride + c]


def _pixels_left(block: Block) -> AbstractContextManager[Expr]:
    """A loop over the pixels that fill no block."""
    return block.em.span(block.pixels - block.pixels % block.em.lanes, block.pixels, "p")


def transposed(em: Emitter, rows: list[Expr]) -> list[Expr]:
    """The lanes × lanes matrix of these vectors, transposed: log2(lanes) rounds of exchanging off-diagonal blocks."""
    rows = [em.let(row, "row") for row in rows]
    half = 1
    while half < em.lanes:
        for i in range(em.lanes):
            if not i & half:
                upper, lower = rows[i], rows[i + half]
                rows[i] = em.let(_exchange(upper, lower, half, em.lanes, 0), "upper")
                rows[i + half] = em.let(_exchange(upper, lower, half, em.lanes, half), "lower")
        half *= 2
    return rows


def _exchange(upper: Expr, lower: Expr, half: int, lanes: int, start: int) -> Expr:
    """Lanes of two vectors: every other run of ``half`` from ``start`` on, of each, side by side."""
    picked = [lane - half + start + lanes if lane & half else lane + start for lane in range(lanes)]
    return tir.Shuffle([upper, lower], picked)
