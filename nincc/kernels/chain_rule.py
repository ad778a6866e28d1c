"""Which consecutive GEMMs share a kernel, and which multiply by Strassen's algorithm: a rule on costs alone.

Every cut of the row of GEMMs into runs is costed (:mod:`nincc.kernels.cost`); the cheapest wins.  A run of one that
multiplies plainly stays a ``nincc.gemm``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nincc.kernels.chain_spec import Chain, ChainLayer, takes_strassen
from nincc.kernels.cost import Core, overlapped
from nincc.kernels.error_table import direct_error, strassen_error
from nincc.kernels.spec import most_chain_rows
from nincc.target import Target

GAIN = 0.98
"""A chain must take less than this share of the time of what it replaces."""
COLD = 4 << 20
"""Bytes that a net reads between two uses of the same weights, at least: they come from the shared cache."""
LARGEST_WEIGHTS = 2 << 20
"""Bytes of Strassen's weights up to which it pays: nin-imagenet's 1 MB won 11 %, its 7 MB, from memory, lost 2 %."""
SUM_CYCLES, KEPT_CYCLES = 10.0, 8.0
"""Vector operations' worth of taking four sums of a vector of A, and of keeping a register tile's row of sums."""


@dataclass(frozen=True)
class Product:
    """One GEMM: ``depth`` channels to ``units``."""

    depth: int
    units: int
    activation: str


@dataclass(frozen=True)
class Run:
    """``count`` consecutive GEMMs from ``first`` on as one kernel: a chain, or a plain ``nincc.gemm`` (None).

    ``error`` is the largest of the layers' predicted errors, ``cycles`` the predicted cycles.
    """

    first: int
    count: int
    chain: Chain | None
    error: float
    cycles: float


def plan_runs(
    products: Sequence[Product],
    rows: int,
    target: Target,
    *,
    tasks: int = 1,
    error_budget: float = 1e-5,
    optimize: Literal["speed", "size"] = "speed",
) -> list[Run]:
    """Cut ``products``, each of which reads the one before it on ``rows`` pixels, into runs.

    ``optimize="size"`` keeps weights at their ONNX size, which Strassen's never are.
    """
    rule = _Rule(Core(target), tuple(products), rows, tasks, error_budget if optimize == "speed" else 0.0)
    best: list[tuple[float, list[Run]]] = [(0.0, [])]
    for end in range(1, len(products) + 1):
        options = [(best[first], rule.run(first, end)) for first in range(end)]
        found = [(cost + run.cycles, [*runs, run]) for (cost, runs), run in options]
        best.append(min(found, key=lambda option: option[0]))
    return best[-1][1]


def chain_cycles(core: Core, chain: Chain) -> float:
    """The predicted cycles of a chain on one core."""
    return _Rule(core, (), chain.rows, chain.tasks, 0.0)._chain_cycles(chain)


@dataclass(frozen=True)
class _Rule:
    core: Core
    products: tuple[Product, ...]
    rows: int
    tasks: int
    error_budget: float

    def run(self, first: int, end: int) -> Run:
        """The best kernel for the GEMMs ``first`` … ``end - 1``."""
        products = self.products[first:end]
        chains = [self._chain(products, mr) for mr in range(most_chain_rows(self.core.target), 0, -1)]
        chain = min(chains, key=self._chain_cycles)
        cycles = self._shared(self._chain_cycles(chain), chain.tiles) / GAIN
        errors = [(strassen_error if layer.strassen else direct_error)(layer.depth) for layer in chain.layers]
        passing = self._passing_on(products[-1]) if end < len(self.products) else 0.0
        if len(products) == 1:
            plain = self._gemm_cycles(products[0])
            if not chain.layers[0].strassen or plain < cycles:
                return Run(first, 1, None, direct_error(products[0].depth), plain + passing)
        return Run(first, len(products), chain, max(errors), cycles + passing)

    def _chain(self, products: tuple[Product, ...], mr: int) -> Chain:
        """The chain with register tiles of ``mr`` rows: each layer the way that is cheaper, blocks by the caches."""
        layers = tuple(self._layer(product, mr) for product in products)
        chain = Chain(layers, self.rows, mr, 1, self.tasks)
        l2 = self.core.target.l2
        if _weight_bytes(layers) > l2 * 3 // 4:
            data = chain.tile_rows * products[0].depth
            tile = data + 2 * chain.map_elements + chain.tile_sums
            chain = replace(chain, block=max(1, l2 // 2 // (4 * tile)))
        return replace(chain, block=min(chain.block, chain.tiles), tasks=min(chain.tasks, chain.tiles))

    def _layer(self, product: Product, mr: int) -> ChainLayer:
        lanes = self.core.target.lanes
        plain = ChainLayer(product.depth, product.units, product.activation, False, lanes, mr)
        halved = replace(plain, strassen=True)
        if strassen_error(product.depth) > self.error_budget or not takes_strassen(product.depth, product.units, lanes):
            return plain
        if _weight_bytes([halved]) > LARGEST_WEIGHTS:
            return plain
        cycles = [self._tile_cycles(layer, mr, 2) for layer in (plain, halved)]
        return halved if cycles[1] < GAIN * cycles[0] else plain

    def _tile_cycles(self, layer: ChainLayer, rows: int, parts: int) -> float:
        """A layer on a tile of ``parts`` register tiles of ``rows`` rows."""
        core, cycles = self.core, 0.0
        for group in layer.groups:
            if group.is_pair:
                products = sum(core.register_tile(rows, depth, group.vectors) for depth in layer.depths)
                cycles += group.count * (products + rows * group.vectors / 2 * KEPT_CYCLES * core.vector)
            else:
                cycles += group.count * parts * core.register_tile(rows, layer.depth)
        sums = rows * layer.half / layer.lanes * SUM_CYCLES if layer.strassen else 0.0
        return cycles + sums * core.vector

    def _chain_cycles(self, chain: Chain) -> float:
        """All layers, with what reading the weights for every block takes beyond what hides, on one core."""
        tiles, large, size = chain.cut
        compute = sum(
            large * self._tile_cycles(layer, size, chain.parts)
            + ((tiles - large) * self._tile_cycles(layer, size - 1, chain.parts) if large < tiles else 0)
            for layer in chain.layers
        )
        weights = _weight_bytes(chain.layers)
        return overlapped(compute, self._fetching(weights, -(-tiles // chain.block)))

    def _gemm_cycles(self, product: Product) -> float:
        """A ``nincc.gemm`` by itself."""
        core, panel = self.core, self.core.target.panel
        mr = core.best_rows(self.rows, product.depth)
        panels, row_tiles = -(-product.units // panel), -(-self.rows // mr)
        compute = panels * core.row_tiles(self.rows, mr, product.depth)
        blocks = -(-row_tiles // core.row_block(self.rows, mr, product.depth, product.units))
        fetching = self._fetching(panels * panel * product.depth * 4, blocks)
        return self._shared(overlapped(compute, fetching), panels * row_tiles)

    def _fetching(self, weights: int, times: int) -> float:
        """Reading weights: the first time from beyond the caches that hold them."""
        return self.core.moving(weights, max(weights, COLD)) + self.core.moving((times - 1) * weights, weights)

    def _shared(self, cycles: float, items: int) -> float:
        """Cycles a task when all run, and on one core, weighed alike."""
        tasks = self.tasks
        return cycles * (1 + -(-items // tasks) * tasks / items) / 2

    def _passing_on(self, product: Product) -> float:
        """Writing and reading the map between two kernels."""
        amount = self.rows * product.units * 4
        return self.core.moving(2 * amount, amount)


def _weight_bytes(layers: Sequence[ChainLayer]) -> int:
    return sum(layer.weight_rows * layer.panel * 4 for layer in layers)
