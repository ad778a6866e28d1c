"""Stages 2 to 4 of a Winograd convolution, each for one tile or one block of them.

Tiles are numbered within a :class:`Part`: the images whose gathered maps lie one behind the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.kernels.cook_toom import cook_toom
from nincc.kernels.emit import Emitter, Expr, View, div, mod
from nincc.kernels.gather import Gather
from nincc.kernels.register_tile import accumulate, unroll_of_target
from nincc.kernels.spec import balanced
from nincc.kernels.winograd_spec import CACHE_LINE, Winograd
from nincc.kernels.winograd_transform import transform_tile

tir = tvm.tir


@dataclass(frozen=True)
class Part:
    """Images in work: their gathered maps, the first one's number in the batch, and how many tiles they have."""

    maps: View
    first_image: Expr
    tiles: Expr


@dataclass(frozen=True)
class Stages:
    """The stages' code, for the tensors of one kernel."""

    em: Emitter
    plan: Winograd
    gather: Gather
    weight: View
    bias: View
    out: View

    def transform_in(self, part: Part, v: View, tile: Expr, slot: Expr) -> None:
        """Stage 2: tile number ``tile`` to ``slot`` of the block at ``v``; slots past the last tile repeat it."""
        em, plan, gather = self.em, self.plan, self.gather
        if plan.uneven:
            tile = em.scalar(tir.min(tile, part.tiles - 1), "tile")
        image, y, x = self._position(tile)
        corner = image * gather.image_elements + y * (plan.m * gather.row_elements) + x * (plan.m * plan.stride)
        source = part.maps.at(em.offset(corner, "corner"))
        target = v.at(em.offset(slot * plan.stride, "slot"))
        em = em.narrow()
        source, target = source.seen_by(em), target.seen_by(em)
        with em.loop(plan.stride // em.lanes, "c") as c:
            transform_tile(
                em, cook_toom(plan.m, plan.r).bt,
                lambda i, j: source.load(i * gather.row_elements + j * plan.stride + c * em.lanes),
                lambda i, j, value: target.store((i * plan.n + j) * plan.v_step + c * em.lanes, value),
            )  # fmt: skip

    def _position(self, tile: Expr) -> tuple[Expr, Expr, Expr]:
        """(image, row of tiles, column of tiles) of a tile's number."""
        down, across = self.plan.grid
        image = self.em.scalar(div(tile, down * across), "image")
        rest = mod(tile, down * across)
        return image, self.em.scalar(div(rest, across), "ty"), self.em.scalar(mod(rest, across), "tx")

    def multiply(self, v: View, products: View, units: Expr) -> None:
        """Stage 3 for one block of tiles and one of units."""
        em, plan = self.em, self.plan
        count = self._panels_of(units)
        with em.loop(plan.elements, "e") as element, em.loop(count, "no") as panel:
            number = units * (plan.block_panels * plan.elements) + element * count + panel
            weight = self.weight.at(em.offset(number * (plan.depth * plan.panel), "panel"))
            target = products.at(em.offset(element * plan.m_step + panel * plan.panel, "product"))
            self._panel(v.at(element * plan.v_step), weight, target)

    def _panels_of(self, units: Expr) -> Expr:
        """Panels of a block of units: the last one may have fewer."""
        plan = self.plan
        rest = plan.panels - (plan.unit_blocks - 1) * plan.block_panels
        if rest == plan.block_panels:
            return rest
        return self.em.scalar(tir.if_then_else(units < plan.unit_blocks - 1, plan.block_panels, rest), "panels")

    def _panel(self, v: View, weight: View, target: View) -> None:
        """One element and panel: all tiles of the block, cut in register tiles of near ``mr`` rows."""
        tiles, large, size = balanced(self.plan.tile_block, self.plan.conv.mr)
        with self.em.loop(large, "to") as row_tile:
            self._register_tile(v, weight, target, size, row_tile * size, row_tile, tiles)
        if large < tiles:
            with self.em.loop(tiles - large, "to") as rest:
                row_tile = rest + large
                self._register_tile(v, weight, target, size - 1, row_tile * (size - 1) + large, row_tile, tiles)

    def _register_tile(
        self, v: View, weight: View, target: View, rows: int, first: Expr, row_tile: Expr, row_tiles: int
    ) -> None:
        em, plan = self.em, self.plan
        unroll = unroll_of_target()
        turns = plan.depth // unroll
        lines = -(-plan.depth * plan.panel // (CACHE_LINE * row_tiles * max(turns, 1)))

        def prefetch(turn: Expr) -> None:
            for line in range(lines):
                ahead = plan.depth * plan.panel + ((row_tile * turns + turn) * lines + line) * CACHE_LINE
                em.prefetch(weight, ahead)

        acc = accumulate(
            em, rows, 2, 1, plan.depth,
            lambda i, _, k: v[(first + i) * plan.stride + k],
            lambda vector, _, k: weight.load(k * plan.panel + vector * em.lanes),
            unroll=unroll, prefetch=prefetch,
            load_run=lambda i, _, k: v.run((first + i) * plan.stride + k, unroll),
        )  # fmt: skip
        for i, row in enumerate(acc):
            for vector, register in enumerate(row):
                target.store((first + i) * plan.unit_block + vector * em.lanes, register.load(0))

    def transform_out(self, part: Part, products: View, tile: Expr, slot: Expr, units: Expr) -> None:
        """Stage 4 for ``slot`` of a block of tiles and one block of units; tiles past the part's are left out."""
        if not self.plan.uneven:
            self._output_tile(part, products, tile, slot, units)
            return
        with self.em.when(tile < part.tiles):
            self._output_tile(part, products, tile, slot, units)

    def _output_tile(self, part: Part, products: View, tile: Expr, slot: Expr, units: Expr) -> None:
        """Whole rows and columns of the output, none beyond."""
        em, plan = self.em.narrow(), self.plan
        (height, width), stride = plan.conv.out_size, plan.conv.out_shape[3]
        image, ty, tx = self._position(tile)
        corner = (
            ((part.first_image + image) * height + ty * plan.m) * width + tx * plan.m
        ) * stride + units * plan.unit_block
        out = self.out.seen_by(em).at(em.offset(corner, "out"))
        source = products.seen_by(em).at(em.offset(slot * plan.unit_block, "slot"))
        rows = em.scalar(height - ty * plan.m, "rows") if height % plan.m else None
        cols = em.scalar(width - tx * plan.m, "cols") if width % plan.m else None
        vectors = tir.min(plan.unit_block // em.lanes, stride // em.lanes - units * (plan.unit_block // em.lanes))
        with em.loop(em.scalar(vectors, "vectors"), "v") as v:
            bias = em.let(self.bias.seen_by(em).load(units * plan.unit_block + v * em.lanes), "bias")

            def store(i: int, j: int, value: Expr) -> None:
                result = em.activate(value + bias, plan.conv.activation)
                conditions = [rows > i] if rows is not None and i >= height % plan.m else []
                conditions += [cols > j] if cols is not None and j >= width % plan.m else []
                if not conditions:
                    out.store((i * width + j) * stride + v * em.lanes, result)
                    return
                with em.when(tir.all(*conditions) if len(conditions) > 1 else conditions[0]):
                    out.store((i * width + j) * stride + v * em.lanes, result)

            transform_tile(
                em, cook_toom(plan.m, plan.r).at,
                lambda i, j: source.load((i * plan.n + j) * plan.m_step + v * em.lanes), store,
            )  # fmt: skip
