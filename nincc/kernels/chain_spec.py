"""A chain of 1×1 convolutions, cut for one kernel that takes a block of pixels through all of them.  No TVM.

A layer multiplies plainly or by Strassen's algorithm (:mod:`nincc.kernels.strassen`), which halves rows, channels and
units: where any layer does, a tile of pixels is two register tiles tall.  Strassen's weight panels go in pairs; a last
one without a partner is halved to a narrow pair if register tiles are tall enough, else multiplied plainly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from operator import floordiv
from typing import Any

from nincc.errors import InternalError
from nincc.kernels.spec import CACHE_LINE, balanced, first_of, round_up

LEAST_NARROW = 8
"""Rows of a register tile of one vector that has enough sums for FMAs not to wait for each other."""


@dataclass(frozen=True)
class Group:
    """Neighbouring panels of one layer that are multiplied alike: ``count`` times ``panels`` from ``first`` on.

    Strassen's pairs have two sides of ``vectors``: two panels, or the halves of one.  Of a plain panel, ``vectors``
    hold channels.  Weights count rows of a panel's width: ``before`` lie ahead of the group's in its layer, ``rows``
    are those of one pair or panel.
    """

    is_pair: bool
    panels: int
    vectors: int
    first: int
    count: int
    before: int
    rows: int


@dataclass(frozen=True)
class ChainLayer:
    """One 1×1 convolution, ``depth`` channels to ``units``, plainly or by Strassen's algorithm.

    ``mr`` are the most rows of a register tile.
    """

    depth: int
    units: int
    activation: str
    strassen: bool
    lanes: int
    mr: int

    @property
    def panel(self) -> int:
        """Output channels of a weight panel."""
        return 2 * self.lanes

    @property
    def panels(self) -> int:
        return -(-self.units // self.panel)

    @property
    def stride(self) -> int:
        """Floats from one output pixel to the next."""
        return round_up(self.units, self.lanes)

    @property
    def half(self) -> int:
        """The first half of the channels: as long as the second or longer, and whole vectors."""
        return round_up(-(-self.depth // 2), self.lanes)

    @property
    def depths(self) -> tuple[int, ...]:
        """The depths of Strassen's seven products, in the order in which the kernel makes them."""
        first, second = self.half, self.depth - self.half
        return first, second, first, first, second, first, second

    @property
    def pairs(self) -> int:
        """Pairs of whole panels that Strassen's algorithm multiplies."""
        return (self.panels - self._ends_in_half) // 2 if self.strassen else 0

    @property
    def narrow_pairs(self) -> int:
        """1 where a whole panel without a partner is halved to a pair, else 0."""
        whole = self.panels - self._ends_in_half
        return whole % 2 if self.strassen and self.mr >= LEAST_NARROW else 0

    @property
    def groups(self) -> list[Group]:
        """All panels: pairs first, then a narrow pair or plain ones, a last one of one vector by itself."""
        paired, narrow, whole = 2 * self.pairs, self.narrow_pairs, self.panels - self._ends_in_half
        plain, products = whole - paired - narrow, sum(self.depths)
        wanted = [
            (True, 2, 2, self.pairs, products),
            (True, 1, 1, narrow, -(-products // 2)),
            (False, 1, 2, plain, self.depth),
            (False, 1, 1, self.panels - whole, self.depth),
        ]
        found: list[Group] = []
        first = before = 0
        for is_pair, panels, vectors, count, rows in wanted:
            if count:
                found.append(Group(is_pair, panels, vectors, first, count, before, rows))
            first, before = first + count * panels, before + count * rows
        return found

    @property
    def _ends_in_half(self) -> bool:
        """Whether only the first vector of the last panel holds channels."""
        return 0 < self.units % self.panel <= self.lanes

    @property
    def weight_rows(self) -> int:
        """Rows of a panel's width that the layer's weights take."""
        return sum(group.count * group.rows for group in self.groups)

    @property
    def multiplications(self) -> float:
        """Multiplications as a share of the plain product's."""
        return 1 - (self.pairs + self.narrow_pairs / 2) / (4 * self.panels)


@dataclass(frozen=True)
class Chain:
    """The layers, ``rows`` pixels, and their cut: tiles of up to ``mr * parts`` rows, ``block`` tiles at a time."""

    layers: tuple[ChainLayer, ...]
    rows: int
    mr: int
    block: int
    tasks: int

    @property
    def parts(self) -> int:
        """Register tiles that a tile is tall."""
        return 2 if any(layer.strassen for layer in self.layers) else 1

    @property
    def cut(self) -> tuple[int, int, int]:
        """(tiles, tiles of register tiles of r rows, r): the others have r - 1."""
        return balanced(-(-self.rows // self.parts), self.mr)

    def first_row(self, tile: Any, divide: Callable[[Any, int], Any] = floordiv) -> Any:
        """The first row of a tile, a number or an expression that ``divide`` takes too."""
        return first_of(tile, self.tiles, -(-self.rows // self.parts), divide) * self.parts

    @property
    def tiles(self) -> int:
        return self.cut[0]

    @property
    def blocks(self) -> int:
        """Blocks of up to ``block`` tiles: as many for every task."""
        wanted = -(-self.tiles // self.block)
        return min(self.tiles, round_up(wanted, self.tasks))

    def first_tile(self, block: Any, divide: Callable[[Any, int], Any] = floordiv) -> Any:
        """The first tile of a block, a number or an expression as above."""
        return first_of(block, self.blocks, self.tiles, divide)

    @property
    def tile_rows(self) -> int:
        """Rows of the largest tile."""
        return self.cut[2] * self.parts

    @property
    def is_ragged(self) -> bool:
        """Whether the last tile is one row taller than what is left."""
        return self.rows % self.parts > 0

    @property
    def map_elements(self) -> int:
        """Floats of one of the two buffers that hold what a block's layers pass on (0 for a single layer)."""
        return self.block * self.tile_rows * max((layer.stride for layer in self.layers[:-1]), default=0)

    @property
    def tile_sums(self) -> int:
        """Floats of the four sums of A's quarters of a tile (0 where no layer needs any)."""
        strides = [sum_stride(layer) for layer in self.layers if layer.strassen]
        return 4 * self.cut[2] * max(strides, default=0)

    @property
    def kept_elements(self) -> int:
        """Floats of the two register tiles that Strassen's products keep (0 where no layer needs any)."""
        return 2 * self.cut[2] * self.layers[0].panel if self.parts == 2 else 0


def sum_stride(layer: ChainLayer) -> int:
    """Floats from one row of a sum of A's quarters to the next: off a power of two, lest rows share cache sets."""
    return layer.half + CACHE_LINE


def takes_strassen(depth: int, units: int, lanes: int) -> bool:
    """Whether a layer has two halves of channels and a pair of panels."""
    return depth > lanes and ChainLayer(depth, units, "none", True, lanes, 1).pairs > 0


def chain_spec(shape: tuple[int, ...], attrs: Mapping[str, Any]) -> Chain:
    """The cut of a ``nincc.gemm_chain`` on a packed map of ``shape``."""
    units = [int(count) for count in attrs["units"]]
    depths = [int(attrs["channels"]), *units[:-1]]
    flags = [bool(int(flag)) for flag in attrs["strassen"]]
    layers = tuple(
        ChainLayer(depth, count, str(activation), flag, int(attrs["lanes"]), int(attrs["mr"]))
        for depth, count, activation, flag in zip(depths, units, attrs["activations"], flags, strict=True)
    )
    for layer in layers:
        if layer.strassen and not takes_strassen(layer.depth, layer.units, layer.lanes):
            raise InternalError(f"no halves for Strassen's algorithm in {layer.depth} channels and {layer.units} units")
    chain = Chain(layers, prod(shape[:3]), int(attrs["mr"]), int(attrs["block"]), int(attrs["tasks"]))
    return replace(chain, block=min(chain.block, chain.tiles), tasks=min(chain.tasks, chain.tiles))
