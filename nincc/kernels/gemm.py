"""Packed GEMM: 1×1 convolutions on ``[N, H, W, Kp]`` maps, and the same with the mean over H and W on top.

``C[m, n] = activation(bias[n] + Σ_k A[m, k] · B[n / NR, k, n % NR])``: A is read where it lies, B in panels of
``NR = 2 * lanes`` output channels.  A register tile is ``mr`` pixels by one panel (by one vector where the last
panel's second half holds no channel).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.emit import Emitter, Expr, View, div, mod
from nincc.kernels.register_tile import accumulate, unroll_of_target
from nincc.kernels.spec import CACHE_LINE, balanced, round_up

tir, te = tvm.tir, tvm.te


@dataclass(frozen=True)
class Tiles:
    """How a GEMM of ``rows`` × ``units`` is cut into register tiles."""

    rows: int
    units: int
    lanes: int
    mr: int

    @property
    def row_tiles(self) -> int:
        return balanced(self.rows, self.mr)[0]

    @property
    def panels(self) -> int:
        return -(-self.units // (2 * self.lanes))

    @property
    def half_panel(self) -> bool:
        """Whether only the first vector of the last panel holds channels."""
        return 0 < self.units % (2 * self.lanes) <= self.lanes


@dataclass(frozen=True)
class RegisterTile:
    """One register tile: ``rows`` rows from ``first`` on by the ``vectors`` vectors of ``panel``.

    ``number`` counts tiles of rows; ``rows`` and ``vectors`` are constants, the rest may be expressions.
    """

    rows: int
    vectors: int
    first: Expr
    number: Expr
    panel: Expr


Body = Callable[[RegisterTile], None]


def each_size(em: Emitter, tiles: Tiles, number: Expr, panel: Expr, body: Body) -> None:
    """Call ``body`` for one register tile, once per size that it may have.

    Code for each size stands in a branch of its own, so that every loop has constant bounds.
    """
    count, large, size = balanced(tiles.rows, tiles.mr)

    def by_rows(vectors: int) -> None:
        if large == count:
            body(RegisterTile(size, vectors, em.scalar(number * size, "m"), number, panel))
            return
        with em.when(number < large):
            body(RegisterTile(size, vectors, em.scalar(number * size, "m"), number, panel))
        with em.otherwise():
            first = em.scalar(number * (size - 1) + large, "m")
            body(RegisterTile(size - 1, vectors, first, number, panel))

    if not tiles.half_panel:
        by_rows(2)
    elif tiles.panels == 1:
        by_rows(1)
    else:
        with em.when(panel < tiles.panels - 1):
            by_rows(2)
        with em.otherwise():
            by_rows(1)


def walk_tiles(em: Emitter, tiles: Tiles, order: str, tasks: int, body: Body, block: int = 0) -> None:
    """Visit all register tiles, shared among tasks.

    Order "mn": all panels for one tile of rows after another (A stays in L1); "nm": all rows for one panel
    after another (the panel stays in L1, and the next one is fetched meanwhile), one block of ``block`` tiles of
    rows at a time (0: all rows), so that the block's part of A stays in L2.
    """
    whole = tiles.row_tiles
    with em.tasks(whole * tiles.panels, tasks) as (_, begin, end), em.span(begin, end, "tile") as t:
        if order == "mn":
            number, panel = em.scalar(div(t, tiles.panels), "mo"), em.scalar(mod(t, tiles.panels), "no")
        elif not 0 < block < whole:
            number, panel = em.scalar(mod(t, whole), "mo"), em.scalar(div(t, whole), "no")
        else:
            first = em.scalar(div(t, block * tiles.panels) * block, "block")
            height = em.scalar(tir.min(block, whole - first), "height")
            rest = em.scalar(t - first * tiles.panels, "rest")
            number, panel = em.scalar(first + mod(rest, height), "mo"), em.scalar(div(rest, height), "no")
        each_size(em, tiles, number, panel, body)


@dataclass(frozen=True)
class Operands:
    """Packed weight [NO, depth, NR] and bias [NO * NR]; ``order`` and ``block`` are the walk's over their tiles."""

    tiles: Tiles
    weight: View
    bias: View
    depth: int
    order: str
    block: int = 0

    def product(self, em: Emitter, tile: RegisterTile, row: Callable[[int], View]) -> list[list[View]]:
        """The accumulators of one tile, bias included; ``row(i)`` is the tile's i-th row of A."""
        return self.taps_product(em, tile, 1, lambda i, _: row(i))

    def taps_product(
        self,
        em: Emitter,
        tile: RegisterTile,
        taps: int,
        row: Callable[[int, Expr], View],
        inside: tuple[Expr, Expr] | None = None,
    ) -> list[list[View]]:
        """The same where the depth is ``taps`` runs; ``row(i, tap)`` is where row i's run of a tap starts.

        Taps before ``inside[0]`` and from ``inside[1]`` on add nothing, and are left out.
        """
        run, width, unroll = self.depth // taps, 2 * em.lanes, unroll_of_target()
        panel = self.weight.at(em.scalar(tile.panel * (self.depth * width), "panel"))
        return accumulate(
            em, tile.rows, tile.vectors, taps, run,
            lambda i, tap, k: row(i, tap)[k],
            lambda v, tap, k: panel.load((tap * run + k) * width + v * em.lanes),
            initial=lambda v: self.bias.load(tile.panel * width + v * em.lanes),
            unroll=unroll,
            prefetch=self._fetch_next(em, panel, tile, taps * (run // unroll)),
            load_run=lambda i, tap, k: row(i, tap).run(k, unroll),
            inside=inside,
        )  # fmt: skip

    def _fetch_next(self, em: Emitter, panel: View, tile: RegisterTile, turns: int) -> Callable[[Expr], None] | None:
        """Fetches the next panel's cache lines, spread over the turns of this panel's first tiles."""
        height = min(self.block or self.tiles.row_tiles, self.tiles.row_tiles)
        if self.order != "nm" or self.tiles.panels == 1 or height == 1 or not turns:
            return None
        size = self.depth * 2 * em.lanes
        lines = -(-size // CACHE_LINE)
        each = -(-lines // (turns * height))
        last = -(-lines // (turns * each)) - 1
        number = tile.number if height == self.tiles.row_tiles else mod(tile.number, height)
        start = em.offset(tir.min(number, last) * (turns * each * CACHE_LINE) + size, "next")

        def fetch(turn: Expr) -> None:
            for line in range(each):
                em.prefetch(panel, start + (turn * each + line) * CACHE_LINE)

        return fetch


def gemm(data: Any, weight: Any, bias: Any, attrs: Any) -> Any:
    """``nincc.gemm``: x [N, H, W, Kp], weight [NO, K, NR], bias [NO * NR] → [N, H, W, Np]."""
    batch, height, width, stride = (int(v) for v in data.shape)
    lanes, order, block = int(attrs["lanes"]), str(attrs["order"]), int(attrs.get("block", 0))
    tiles = Tiles(batch * height * width, int(attrs["units"]), lanes, int(attrs["mr"]))
    out_stride = round_up(tiles.units, lanes)

    def body(inputs: Any, outputs: Any) -> Any:
        em = Emitter(lanes)
        a, w, b = (em.view(buffer) for buffer in inputs)
        operands = Operands(tiles, w, b, int(attrs["channels"]), order, block)

        def compute(tile: RegisterTile) -> None:
            start, out = a.at(tile.first * stride), em.view(outputs[0])
            _fetch_rows(em, operands, tile, start, stride)
            for i in range(tile.rows):
                em.prefetch(out, (tile.first + i) * out_stride + tile.panel * (2 * lanes))
            acc = operands.product(em, tile, lambda i: start.at(i * stride))
            store_tile(em, tile, acc, out, out_stride, str(attrs["activation"]))

        walk_tiles(em, tiles, order, int(attrs["tasks"]), compute, block)
        return em.ib.get()

    shape = (batch, height, width, out_stride)
    return te.extern(shape, [data, weight, bias], body, name="nincc_gemm", dtype="float32")


def _fetch_rows(em: Emitter, operands: Operands, tile: RegisterTile, start: View, stride: int) -> None:
    """Fetches a panel's share of the rows that the next block will read: each starts at lines not seen before."""
    tiles = operands.tiles
    height = operands.block or tiles.row_tiles
    if operands.order == "mn" or height < tiles.row_tiles:
        ahead = (1 if operands.order == "mn" else height) * tile.rows * stride
        fetch_share(em, start.at(ahead), tile.rows * stride, tile.panel, tiles.panels)


def fetch_share(em: Emitter, start: View, count: int, share: Expr, shares: int) -> None:
    """Fetch the ``share``-th of ``shares`` equal parts of the ``count`` floats from ``start`` on."""
    lines = -(-count // (CACHE_LINE * shares))
    first = em.offset(share * (lines * CACHE_LINE), "fetch")
    for line in range(lines):
        em.prefetch(start, first + line * CACHE_LINE)


def store_tile(em: Emitter, tile: RegisterTile, acc: list[list[View]], out: View, stride: int, activation: str) -> None:
    """Activate and store a tile's sums to rows ``tile.first`` … of ``out``, ``stride`` floats apart."""
    column = tile.panel * (2 * em.lanes)
    for i, row in enumerate(acc):
        for v, register in enumerate(row):
            value = em.activate(register.load(0), activation)
            out.store((tile.first + i) * stride + column + v * em.lanes, value)


def gemm_pool(data: Any, weight: Any, bias: Any, attrs: Any) -> Any:
    """``nincc.gemm_pool``: the mean over H and W of the GEMM's activations → [N, 1, 1, Np]; no map is stored."""
    batch, height, width, stride = (int(v) for v in data.shape)
    lanes, pixels = int(attrs["lanes"]), height * width
    tiles = Tiles(pixels, int(attrs["units"]), lanes, int(attrs["mr"]))
    out_stride = round_up(tiles.units, lanes)

    def body(inputs: Any, outputs: Any) -> Any:
        em = Emitter(lanes)
        a, w, b = (em.view(buffer) for buffer in inputs)
        operands = Operands(tiles, w, b, int(attrs["channels"]), "nm")

        def mean(image: Expr, vectors: int, panel: Expr) -> None:
            start = a.at(em.scalar(image * (pixels * stride), "image"))
            total = _pooled_panel(em, operands, start, stride, panel, vectors, str(attrs["activation"]))
            for v, register in enumerate(total):
                scaled = register.load(0) * em.broadcast(1.0 / pixels)
                em.view(outputs[0]).store(image * out_stride + panel * 2 * lanes + v * lanes, scaled)

        with em.tasks(batch * tiles.panels, int(attrs["tasks"])) as (_, begin, end), em.span(begin, end, "u") as u:
            panel, image = em.scalar(div(u, batch), "no"), em.scalar(mod(u, batch), "image")
            whole_panel = Tiles(1, tiles.units, lanes, 1)
            each_size(em, whole_panel, 0, panel, lambda tile: mean(image, tile.vectors, panel))
        return em.ib.get()

    shape = (batch, 1, 1, out_stride)
    return te.extern(shape, [data, weight, bias], body, name="nincc_gemm_pool", dtype="float32")


def _pooled_panel(
    em: Emitter, operands: Operands, start: View, stride: int, panel: Expr, vectors: int, activation: str
) -> list[View]:
    """The sums over all rows of one image, at ``start``, of a panel's activations."""
    total = em.registers(vectors, "sum")
    for register in total:
        register.store(0, em.broadcast(0.0))

    def add(part: RegisterTile) -> None:
        tile = RegisterTile(part.rows, vectors, part.first, part.number, panel)
        rows = start.at(tile.first * stride)
        for row in operands.product(em, tile, lambda i: rows.at(i * stride)):
            for register, value in zip(total, row, strict=True):
                register.store(0, register.load(0) + em.activate(value.load(0), activation))

    columns = Tiles(operands.tiles.rows, vectors * em.lanes, em.lanes, operands.tiles.mr)
    with em.loop(columns.row_tiles, "mo") as number:
        each_size(em, columns, number, 0, add)
    return total
