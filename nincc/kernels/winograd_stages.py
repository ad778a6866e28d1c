"""Stages 2 to 4 of a Winograd convolution, each for one tile or one block of them.

Tiles are numbered within a :class:`Part`: the images whose gathered maps lie one behind the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.kernels.cook_toom import cook_toom
from nincc.kernels.emit import Emitter, Expr, View, div, mod
from nincc.kernels.gather import Gather
from nincc.kernels.register_tile import accumulate, unroll_of_target
from nincc.kernels.spec import CACHE_LINE, balanced
from nincc.kernels.winograd_spec import Winograd
from nincc.kernels.winograd_transform import linear_map, transform_rows, transform_tile

tir = tvm.tir

Store = Callable[[int, int, Expr], None]


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
        em = em.of(plan.lanes_in).narrow()
        source, target = source.seen_by(em), target.seen_by(em)
        with em.loop(plan.stride // em.lanes, "c") as c:
            transform_tile(
                em, cook_toom(plan.m, plan.r).bt,
                lambda i, j: source.load(i * gather.row_elements + j * plan.stride + c * em.lanes),
                lambda i, j, value: target.store((j * plan.n + i) * plan.v_step + c * em.lanes, value),
            )  # fmt: skip

    def _position(self, tile: Expr) -> tuple[Expr, Expr, Expr]:
        """(image, row of tiles, column of tiles) of a tile's number."""
        down, across = self.plan.grid
        image = self.em.scalar(div(tile, down * across), "image")
        rest = mod(tile, down * across)
        return image, self.em.scalar(div(rest, across), "ty"), self.em.scalar(mod(rest, across), "tx")

    def unit_block(self, part: Part, v: View, products: View, block: Expr, units: Expr) -> None:
        """Stages 3 and 4 for one block of transformed tiles and one of units; ``products`` is room for those."""
        if self.plan.in_registers:
            self._products_in_registers(part, v, products, block, units)
            return
        em, plan = self.em, self.plan
        column = products.at(plan.m * plan.n * plan.m_step)
        with em.loop(plan.n, "j") as j:
            self._multiply(v, column, units, j)
            self._transform_column(column, products.at(em.offset(j * plan.m_step, "half")), units)
        with self._each_tile(part, block) as (tile, slot):
            self._transform_rows(part, products, tile, slot, units)

    @contextmanager
    def _each_tile(self, part: Part, block: Expr) -> Iterator[tuple[Expr, Expr]]:
        """``with … as (tile, slot)``: the tiles of a block, those past the part's last left out."""
        em, plan = self.em, self.plan
        with em.loop(plan.tile_block, "t") as slot:
            tile = em.scalar(block * plan.tile_block + slot, "tile")
            with em.when(tile < part.tiles) if plan.uneven else nullcontext():
                yield tile, slot

    def _multiply(self, v: View, column: View, units: Expr, j: Expr) -> None:
        """Stage 3 for column ``j`` of the elements: each one's matrix of tiles by its weights."""
        em, plan = self.em, self.plan
        count = self._panels_of(units)
        with em.loop(plan.n, "i") as i, em.loop(count, "no") as panel:
            element = em.scalar(j * plan.n + i, "element")
            tiles = v.at(em.offset(element * plan.v_step, "v"))
            target = column.at(em.offset(i * plan.m_step + panel * plan.panel, "product"))
            if plan.fetches_tiles:
                self._fetch_tiles(v, element + 1, panel)
            self._panel(tiles, self._weights(units, count, element, panel), target)

    def _fetch_tiles(self, v: View, element: Expr, panel: Expr) -> None:
        """Asks for a panel's share of an element's tiles; in a last block of fewer panels the rest is not asked for."""
        plan = self.plan
        lines = -(-plan.tile_block * plan.stride // (CACHE_LINE * plan.block_panels))
        start = v.at(self.em.offset(element * plan.v_step + panel * (lines * CACHE_LINE), "ahead"))
        for line in range(lines):
            self.em.prefetch(start, line * CACHE_LINE)

    def _transform_column(self, column: View, target: View, units: Expr) -> None:
        """Stage 4's first half: a column's n products become m values."""
        em, plan = self.em.narrow(), self.plan
        column, target = column.seen_by(em), target.seen_by(em)
        with em.loop(plan.tile_block, "t") as slot, em.loop(self._vectors_of(em, units), "v") as v:
            at = em.offset(slot * plan.unit_block + v * em.lanes, "at")
            x = [em.let(column.load(at + i * plan.m_step)) for i in range(plan.n)]
            for i, value in enumerate(linear_map(em, cook_toom(plan.m, plan.r).at, x)):
                target.store(at + i * plan.n * plan.m_step, value)

    def _weights(self, units: Expr, count: Expr, element: Expr, panel: Expr) -> View:
        """An element's panel of weights: the blocks of units before this one are whole."""
        plan = self.plan
        number = units * (plan.block_panels * plan.elements) + element * count + panel
        return self.weight.at(self.em.offset(number * (plan.depth * plan.panel), "panel"))

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

    def _transform_rows(self, part: Part, halves: View, tile: Expr, slot: Expr, units: Expr) -> None:
        """Stage 4's second half for ``slot`` of a block of tiles."""
        em, plan = self.em.narrow(), self.plan
        source = halves.seen_by(em).at(em.offset(slot * plan.unit_block, "slot"))
        store = self._output(em, part, tile, units)
        with em.loop(self._vectors_of(em, units), "v") as v:
            transform_rows(
                em, cook_toom(plan.m, plan.r).at,
                lambda i, j: source.load((i * plan.n + j) * plan.m_step + v * em.lanes), store(v),
            )  # fmt: skip

    def _vectors_of(self, em: Emitter, units: Expr) -> Expr:
        """Vectors of a block of units that the output has."""
        whole, stride = self.plan.unit_block // em.lanes, self.plan.conv.out_shape[3] // em.lanes
        return em.scalar(tir.min(whole, stride - units * whole), "vectors")

    def _output(self, em: Emitter, part: Part, tile: Expr, units: Expr) -> Callable[[Expr], Store]:
        """Where a tile's outputs go.

        Gives for a vector of the block of units ``store(i, j, value)``, which adds bias and activation to pixel (i, j)
        of the tile, and writes it if the map has it.
        """
        plan = self.plan
        (height, width), stride = plan.conv.out_size, plan.conv.out_shape[3]
        image, ty, tx = self._position(tile)
        corner = (
            ((part.first_image + image) * height + ty * plan.m) * width + tx * plan.m
        ) * stride + units * plan.unit_block
        out = self.out.seen_by(em).at(em.offset(corner, "out"))
        rows = em.scalar(height - ty * plan.m, "rows") if height % plan.m else None
        cols = em.scalar(width - tx * plan.m, "cols") if width % plan.m else None

        def of_vector(v: Expr) -> Store:
            bias = em.let(self.bias.seen_by(em).load(units * plan.unit_block + v * em.lanes), "bias")

            def store(i: int, j: int, value: Expr) -> None:
                result = em.activate(value + bias, plan.conv.activation)
                conditions = [rows > i] if rows is not None and i >= height % plan.m else []
                conditions += [cols > j] if cols is not None and j >= width % plan.m else []
                place = (i * width + j) * stride + v * em.lanes
                with em.when(tir.all(*conditions)) if conditions else nullcontext():
                    out.store(place, result)

            return store

        return of_vector

    def _products_in_registers(self, part: Part, v: View, columns: View, block: Expr, units: Expr) -> None:
        """Stages 3 and 4 of a plan that sums few channels: products are transformed in registers, never stored.

        Vector by vector of the units, first all columns of elements, then all rows of what those became.
        """
        em, plan = self.em, self.plan
        count = self._panels_of(units)
        with em.loop(self._vectors_of(em, units), "vector") as vector:
            panel, half = em.scalar(div(vector, 2), "panel"), em.scalar(mod(vector, 2) * em.lanes, "half")
            with em.loop(plan.n, "j") as j:
                weights = [self._weights(units, count, j * plan.n + i, panel).at(half) for i in range(plan.n)]
                tiles = v.at(em.offset(j * (plan.n * plan.v_step), "v"))
                target = columns.at(em.offset(j * em.lanes, "column"))
                with em.loop(plan.tile_block, "t") as slot:
                    self._column(tiles.at(slot * plan.stride), weights, target, slot)
            with self._each_tile(part, block) as (tile, slot):
                source = columns.at(em.offset(slot * (plan.m * plan.n * em.lanes), "slot"))
                transform_rows(
                    em, cook_toom(plan.m, plan.r).at, lambda i, j: source.load((i * plan.n + j) * em.lanes),
                    self._output(em, part, tile, units)(vector),
                )  # fmt: skip

    def _column(self, tile: View, weights: list[View], target: View, slot: Expr) -> None:
        """One tile's products of a column of elements, transformed to m rows; ``weights`` are the elements'."""
        em, plan = self.em, self.plan
        sums = em.registers(plan.n, "acc")
        for i, total in enumerate(sums):
            for c in range(plan.depth):
                product = em.broadcast(tile[i * plan.v_step + c]) * weights[i].load(c * plan.panel)
                total.store(0, product + total.load(0) if c else product)
        rows = linear_map(em, cook_toom(plan.m, plan.r).at, [total.load(0) for total in sums])
        for i, value in enumerate(rows):
            target.store(((slot * plan.m + i) * plan.n) * em.lanes, value)
