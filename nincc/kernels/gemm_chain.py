"""``nincc.gemm_chain``: consecutive 1×1 convolutions, a block of pixels at a time through all of them.

What one layer passes to the next stays in L1 or L2, so neither the maps between the layers nor their time in a
farther cache remain.  Tasks share the tiles of pixels; every result is the same for any number of tasks, since the
cut in tiles does not depend on it.  See :mod:`nincc.kernels.chain_spec` for the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.chain_spec import Chain, ChainLayer, Group, chain_spec
from nincc.kernels.emit import Emitter, Expr, View, div
from nincc.kernels.register_tile import Sums
from nincc.kernels.sharing import shared_items
from nincc.kernels.spec import CACHE_LINE
from nincc.kernels.strassen import PRODUCTS, Matrix, Quarters, multiply, strassen, take_sums

tir, te = tvm.tir, tvm.te


def gemm_chain(data: Any, weight: Any, bias: Any, attrs: Mapping[str, Any]) -> Any:
    """``nincc.gemm_chain``: x [N, H, W, Kp], weight [rows, NR], bias → [N, H, W, Np] of the last layer.

    Weights and biases are those of :mod:`nincc.kernels.chain_weights`.
    """
    shape = tuple(int(v) for v in data.shape)
    chain = chain_spec(shape, attrs)

    def body(inputs: Any, outputs: Any) -> Any:
        em = Emitter(chain.layers[0].lanes)
        views = [em.view(buffer) for buffer in (*inputs, *outputs)]
        _Kernel(em, chain, shape[3], *views).run()
        return em.ib.get()

    out_shape = (*shape[:3], chain.layers[-1].stride)
    return te.extern(out_shape, [data, weight, bias], body, name="nincc_gemm_chain", dtype="float32")


@dataclass(frozen=True)
class _Block:
    """A task's block of ``count`` tiles from tile ``first`` on, and its slices of the scratch memory."""

    first: Expr
    count: Expr
    maps: tuple[View, View]
    sums: View
    kept: View


@dataclass(frozen=True)
class _Tile:
    """A tile of ``rows`` register tiles' rows: its ``place`` in the block, its first row in all and in the block."""

    rows: int
    place: Expr
    start: Expr
    local: Expr


@dataclass(frozen=True)
class _Kernel:
    """``stride``: floats from one pixel of ``data`` to the next."""

    em: Emitter
    chain: Chain
    stride: int
    data: View
    weight: View
    bias: View
    out: View

    def run(self) -> None:
        """All blocks, shared among tasks."""
        em, chain = self.em, self.chain
        sizes = (chain.map_elements, chain.map_elements, chain.block * chain.tile_sums, chain.kept_elements)
        own = em.task_scratch(chain.tasks, sizes)
        with shared_items(em, chain.blocks, chain.tasks, "block") as (task, number):
            first_map, second_map, sums, kept = own(task)
            first = em.scalar(chain.first_tile(number, div), "first")
            count = em.scalar(chain.first_tile(number + 1, div) - first, "count")
            self._layers(_Block(first, count, (first_map, second_map), sums, kept))

    def _layers(self, block: _Block) -> None:
        weight, bias = self.weight, self.bias
        for number, layer in enumerate(self.chain.layers):
            _Layer(self, block, number, layer, weight, bias).run()
            weight = weight.at(layer.weight_rows * layer.panel)
            bias = bias.at(layer.panels * layer.panel)


@dataclass(frozen=True)
class _Layer:
    """One layer on one block."""

    kernel: _Kernel
    block: _Block
    number: int
    layer: ChainLayer
    weight: View
    bias: View

    @property
    def is_last(self) -> bool:
        return self.number == len(self.kernel.chain.layers) - 1

    def run(self) -> None:
        """Sums first, then pair after pair or panel after panel, each for all tiles of the block."""
        em, layer = self.kernel.em, self.layer
        if layer.strassen:
            self._tiles(lambda tile: take_sums(em, self._quarters(tile)))
        for group in layer.groups:
            with em.loop(group.count, "group") as index:
                at = em.offset((index * group.rows + group.before) * layer.panel, "weight")
                panel = em.scalar(index * group.panels + group.first, "panel")
                multiply_tile = self._pair if group.is_pair else self._panel
                self._tiles(partial(multiply_tile, group, panel, self.weight.at(at)))

    def _tiles(self, body: Callable[[_Tile], None]) -> None:
        """``body`` for each tile of the block, once per size that it may have."""
        em, chain = self.kernel.em, self.kernel.chain
        tiles, large, size = chain.cut
        begin = self._row_of(self.block.first)
        with em.loop(self.block.count, "tile") as place:
            start = em.scalar(self._row_of(self.block.first + place), "start")
            local = em.scalar(start - begin, "local")
            if large == tiles:
                body(_Tile(size, place, start, local))
                return
            rows = em.scalar(self._row_of(self.block.first + place + 1) - start, "rows")
            with em.when(rows == chain.tile_rows):
                body(_Tile(size, place, start, local))
            with em.otherwise():
                body(_Tile(size - 1, place, start, local))

    def _row_of(self, tile: Expr) -> Expr:
        return self.kernel.chain.first_row(tile, div)

    def _matrix(self, tile: _Tile) -> Matrix:
        """What the layer reads: a row that the map does not have is its last row once more."""
        em, chain, rows = self.kernel.em, self.kernel.chain, tile.rows * self.kernel.chain.parts
        if self.number:
            stride = chain.layers[self.number - 1].stride
            return Matrix(rows, self.block.maps[(self.number - 1) % 2].at(em.offset(tile.local * stride, "a")), stride)
        data, stride, last = self.kernel.data, self.kernel.stride, None
        if chain.is_ragged:
            last = data.at(em.offset(tir.min(tile.start + (rows - 1), chain.rows - 1) * stride, "last"))
        return Matrix(rows, data.at(em.offset(tile.start * stride, "a")), stride, last)

    def _quarters(self, tile: _Tile) -> Quarters:
        place = self.block.sums.at(self.kernel.em.offset(tile.place * self.kernel.chain.tile_sums, "s"))
        return Quarters(self.layer, self._matrix(tile), place)

    def _pair(self, group: Group, panel: Expr, weight: View, tile: _Tile) -> None:
        column, width = panel * self.layer.panel, group.vectors * self.layer.lanes
        strassen(
            self.kernel.em, self._quarters(tile), group.vectors, weight, self._bias(panel), self.block.kept,
            lambda i, j, sums: self._store(tile, i, column + j * width, sums),
            self._fetcher(tile, panel, group.panels, PRODUCTS),
        )  # fmt: skip

    def _panel(self, group: Group, panel: Expr, weight: View, tile: _Tile) -> None:
        em, layer, parts, bias = self.kernel.em, self.layer, self.kernel.chain.parts, self._bias(panel)
        matrix, fetch = self._matrix(tile), self._fetcher(tile, panel, group.panels, parts)
        for part in range(parts):
            fetch(part)
            rows = matrix.part(part, tile.rows)
            sums = multiply(em, rows, layer.depth, weight, layer.panel, group.vectors, bias)
            self._store(tile, part, panel * layer.panel, sums)

    def _bias(self, panel: Expr) -> View:
        return self.bias.at(self.kernel.em.offset(panel * self.layer.panel, "bias"))

    def _fetcher(self, tile: _Tile, panel: Expr, panels: int, steps: int) -> Callable[[int], None]:
        """Fetches, step by step, these panels' share of the pixels that the next block reads, and the lines that
        they will write: both lie in farther caches."""
        em, kernel, layer = self.kernel.em, self.kernel, self.layer
        rows = tile.rows * kernel.chain.parts
        lines: list[tuple[View, int]] = []
        if self.number == 0:
            each = -(-rows * kernel.stride // (layer.panels * CACHE_LINE)) * CACHE_LINE
            ahead = (tile.start + kernel.chain.block * rows) * kernel.stride + panel * each
            start = kernel.data.at(em.offset(ahead, "ahead"))
            lines += [(start, at) for at in range(0, panels * each, CACHE_LINE)]
        if self.is_last:
            out = kernel.out.at(em.offset(tile.start * layer.stride + panel * layer.panel, "written"))
            width = panels * layer.panel
            lines += [(out, i * layer.stride + at) for i in range(rows) for at in range(0, width, CACHE_LINE)]

        def fetch(step: int) -> None:
            for view, at in lines[step * len(lines) // steps : (step + 1) * len(lines) // steps]:
                em.prefetch(view, at)

        return fetch

    def _store(self, tile: _Tile, above: int, column: Expr, sums: Sums) -> None:
        """Activates and stores a register tile, ``above`` others above it in its tile, from channel ``column`` on; no
        row that the map lacks."""
        em, layer, chain = self.kernel.em, self.layer, self.kernel.chain
        first, out = (tile.start, self.kernel.out) if self.is_last else (tile.local, self.block.maps[self.number % 2])
        target = out.at(em.offset((first + above * tile.rows) * layer.stride + column, "c"))

        def store(i: int) -> None:
            for v, register in enumerate(sums[i]):
                target.store(i * layer.stride + v * em.lanes, em.activate(register.load(0), layer.activation))

        for i in range(tile.rows):
            row = above * tile.rows + i
            if self.is_last and chain.is_ragged and row == tile.rows * chain.parts - 1:
                with em.when(tile.start + row < chain.rows):
                    store(i)
            else:
                store(i)
