"""A simple model of one core: the cycles that each part of a convolution takes.

Everything follows from the target's description and the layer; the constants were fitted on an AMD Zen 4 (AVX2 and
AVX-512) and hold for any core with two vector pipes, since the rule compares, and never needs absolute times.
A 16-lane operation counts as two: most cores have half the pipes for it, or half the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from nincc.kernels.spec import Conv, balanced, most_rows
from nincc.kernels.winograd_spec import Winograd
from nincc.target import Target

LATENCY = 4.0
"""Cycles from one FMA to the next that needs its result."""
TILE_OVERHEAD = 6.0
"""Cycles around a register tile: zeroing and storing the sums, filling the pipes."""
SHALLOW = 16
"""Products up to which register tiles overlap with their neighbours."""
SHARED_CACHE = 8 << 20
"""Bytes of weights that a core can expect to find in the last cache, which targets do not describe."""
L1_RATE, L2_RATE, SHARED_RATE, MEMORY_RATE = 100.0, 32.0, 20.0, 5.0
"""Bytes a cycle that a core streams from its L1 and L2, from the shared cache and from memory."""
OVERLAP = 0.75
"""Share of the shorter of computing and fetching weights that hides behind the longer."""
HIDDEN, UNHIDDEN = 0.15, 0.1
"""Share of computing's time in which V and M move for nothing, and the share of moving that never hides."""


@dataclass(frozen=True)
class Core:
    """A target as the model sees it."""

    target: Target

    @property
    def vector(self) -> float:
        """Cycles of an operation on the target's vectors."""
        return vector_cycles(self.target.lanes)

    @property
    def most_rows(self) -> int:
        """Rows of the largest register tile of two vectors."""
        return most_rows(self.target)

    def moving(self, amount: float, kept: int) -> float:
        """Cycles that moving ``amount`` bytes takes when ``kept`` bytes are in use: caches hold their share."""
        levels = [
            (self.target.l1, L1_RATE), (self.target.l2, L2_RATE), (SHARED_CACHE, SHARED_RATE), (kept, MEMORY_RATE)
        ]  # fmt: skip
        cycles, covered = 0.0, 0.0
        for size, rate in levels:
            share = min(1.0, size / kept) - covered
            cycles += max(0.0, share) * amount / rate
            covered += max(0.0, share)
        return cycles

    def register_tile(self, rows: int, depth: int, vectors: int = 2) -> float:
        """Cycles of a register tile of ``rows`` by ``vectors`` over ``depth`` products.

        Short ones overlap with their neighbours, and then only the pipes' and the stores' work counts.
        """
        busy, stores = vectors * rows * self.vector, 2 * vectors * rows * self.vector
        if depth <= SHALLOW:
            return 1.3 * max(depth * busy, stores)
        chains = max(1, min(4, -(-8 // (vectors * rows))))
        return depth * (max(busy, LATENCY / chains) + 0.6) + TILE_OVERHEAD

    def row_tiles(self, rows: int, mr: int, depth: int) -> float:
        """Cycles of all register tiles that ``rows`` rows are cut in."""
        tiles, large, size = balanced(rows, mr)
        rest = (tiles - large) * self.register_tile(size - 1, depth) if large < tiles else 0.0
        return large * self.register_tile(size, depth) + rest

    def best_rows(self, rows: int, depth: int) -> int:
        """The mr that cuts ``rows`` rows best."""
        return min(range(self.most_rows, 0, -1), key=lambda mr: self.row_tiles(rows, mr, depth))

    def row_block(self, rows: int, mr: int, depth: int, units: int) -> int:
        """Tiles of rows that a GEMM multiplies by all panels before the next rows' turn.

        Each block reads all weights again.  Where those stay in L2 that costs nothing, and one tile at a time, its
        rows in L1, is best; larger ones come from beyond, and the block is as large as L2 holds beside them.
        """
        l2 = self.target.l2
        stays = depth * units * 4 <= l2 // 2
        return 1 if stays else max(1, min(-(-rows // mr), l2 // 2 // (mr * depth * 4)))


def vector_cycles(lanes: int) -> float:
    """Cycles of a vector operation: two pipes of up to 8 lanes."""
    return 0.5 * max(1.0, lanes / 8)


def overlapped(first: float, second: float) -> float:
    """Cycles of two things of which most goes on at once."""
    return max(first, second) + (1 - OVERLAP) * min(first, second)


def gather_cycles(core: Core, conv: Conv) -> float:
    """Stage 1 of any convolution: the source, pooled, onto a padded map."""
    height, width = conv.input_size
    pixels = conv.batch * height * width
    window = conv.pool.kernel[0] * conv.pool.kernel[1] if conv.pool else 1
    if conv.layout == "NCHW" and conv.channels > 1:
        return pixels * conv.channels * (1.5 + window)
    return pixels * -(-conv.channels // core.target.lanes) * core.vector * (2 + 1.5 * window)


def direct_cycles(core: Core, conv: Conv) -> float:
    """A direct convolution with the best register tile."""
    rows, cols = conv.out_size
    pixels, depth = conv.batch * rows * cols, conv.kernel[0] * conv.kernel[1] * conv.channels
    panels = -(-conv.units // core.target.panel)
    compute = panels * core.row_tiles(pixels, core.best_rows(pixels, depth), depth) * rows_inside(conv)
    weights = panels * core.target.panel * depth * 4
    return gather_cycles(core, conv) + overlapped(compute, core.moving(weights, weights))


def rows_inside(conv: Conv) -> float:
    """The share of a direct convolution's products in rows of the kernel that read more than padding."""
    starts = [y * conv.strides[0] - conv.padding[0] for y in range(conv.out_size[0])]
    reads = [start + tap * conv.dilation[0] for start in starts for tap in range(conv.kernel[0])]
    return sum(0 <= row < conv.input_size[0] for row in reads) / len(reads)


@dataclass(frozen=True)
class WinogradCost:
    """The cycles of one Winograd plan, stage by stage."""

    core: Core
    plan: Winograd

    @cached_property
    def total(self) -> float:
        """All stages, on one core."""
        return gather_cycles(self.core, self.plan.conv) + self.transforms + self.products + self.traffic

    @property
    def transforms(self) -> float:
        """Stages 2 and 4: operations of the transforms, and loads and stores of their tiles."""
        plan, n, m = self.plan, self.plan.n, self.plan.m
        tile_in = 0.9 * n**3 + n**2
        tile_out = (n + m) * (n - 2 + m * n / 2) + n**2
        vectors_in = plan.tile_blocks * plan.tile_block * plan.stride / plan.lanes_in
        vectors_out = plan.tiles * -(-plan.conv.units // plan.conv.lanes)
        return vector_cycles(plan.lanes_in) * tile_in * vectors_in + self.core.vector * tile_out * vectors_out

    @property
    def vectors(self) -> int:
        """Vectors of output channels, those of half a panel's padding among them."""
        return 2 * self.plan.panels

    @property
    def weight_bytes(self) -> int:
        """Bytes of the transformed weights."""
        return self.plan.elements * self.plan.panels * self.plan.panel * self.plan.depth * 4

    @property
    def computing(self) -> float:
        """Stage 3's register tiles."""
        plan = self.plan
        if plan.in_registers:
            return plan.tile_blocks * plan.tile_block * plan.elements * plan.depth * self.vectors * self.core.vector
        rows = self.core.row_tiles(plan.tile_block, plan.conv.mr, plan.depth)
        return plan.tile_blocks * plan.elements * plan.panels * rows

    @property
    def products(self) -> float:
        """Stage 3: the GEMMs, and the weights they read."""
        plan, core = self.plan, self.core
        fetch = core.moving(self.weight_bytes, self.weight_bytes)
        block = self.weight_bytes if plan.order == "tile" else self.weight_bytes // plan.unit_blocks
        again = core.moving((plan.tile_blocks - 1) * self.weight_bytes, block)
        return overlapped(self.computing, fetch + again)

    @property
    def traffic(self) -> float:
        """What moving the gathered map, V and M takes beyond what hides behind computing.

        The map is written and read, V written, and read once a unit block, M written and read.  Where products stay in
        registers, so is V read for each vector of units.
        """
        plan, core = self.plan, self.core
        rows, cols = plan.map_size
        image_map = rows * cols * plan.stride * 4
        v, products = plan.v_size * 4, plan.m_size * 4
        kept = products + v * (plan.tile_blocks if plan.order == "unit" else 1)
        turns = self.vectors if plan.in_registers else plan.unit_blocks
        moved = plan.tile_blocks * (v + turns * (v + 2 * products))
        cycles = core.moving(moved, kept) + core.moving(2 * plan.conv.batch * image_map, plan.group * image_map)
        return max(UNHIDDEN * cycles, cycles - HIDDEN * self.computing)
