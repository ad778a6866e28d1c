"""A convolution's kernels: ``m`` (0: direct convolution, else Winograd F(m, r)), ``mr`` (rows of a register tile) and,
for Winograd, ``tile_block``, ``unit_block`` and ``order`` (0 and "" for a direct one).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

from nincc.kernels.error_table import WINOGRAD, direct_error, winograd_error
from nincc.kernels.rule import imbalance, unit_panels
from nincc.kernels.spec import Conv, balanced
from nincc.kernels.winograd_spec import ORDERS, Winograd, is_winograd_shape, phase_taps
from nincc.records.space import WORST_ERROR, Knob, Knobs, Space, cuts
from nincc.target import AnyTarget

LARGEST_BLOCK = 8 << 20
"""Bytes of the largest block of transformed tiles worth trying: twice what the last of the usual L2 caches holds."""
MOST_PANELS = 16
"""Panels of output channels that a block may have beyond those that the rule costs, besides all."""
_NO_BLOCKS: Knobs = {"tile_block": 0, "unit_block": 0, "order": ""}


@dataclass(frozen=True)
class ConvSpace(Space):
    """Direct convolution, and Winograd F(m, r) of every m with a known error."""

    @cached_property
    def conv(self) -> Conv:
        return self.task.workload.conv(self.task.lanes, tasks=self.task.threads)

    @cached_property
    def candidates(self) -> dict[str, list[Knob]]:
        """See the module."""
        winograd = bool(self._tilings)
        return {
            "m": [0, *self._tilings],
            "mr": self._mr,
            "tile_block": [0, *sorted({size for sizes in self._tilings.values() for size in sizes})],
            "unit_block": [0, *self._unit_blocks] if winograd else [0],
            "order": ["", *self._orders] if winograd else [""],
        }

    @cached_property
    def _tilings(self) -> dict[int, tuple[int, ...]]:
        """Winograd's m → sizes of a block of tiles: all that cut the tiles in nearly equal blocks, within reason."""
        conv = self.conv
        if not is_winograd_shape(conv) or (conv.strides[0] > 1 and conv.pool is not None and conv.layout == "NCHW"):
            return {}
        found = {}
        for m, r in WINOGRAD:
            whole = self._plan(m, 1, 2 * conv.lanes, "tile") if r == phase_taps(conv) else None
            if whole is None or winograd_error(m, r, whole.depth) > WORST_ERROR:
                continue
            sizes = sorted({-(-whole.tiles // blocks) for blocks in range(1, whole.tiles + 1)})
            fitting = [size for size in sizes if 4 * whole.elements * size * whole.stride <= LARGEST_BLOCK]
            found[m] = tuple(fitting or sizes[:1])
        return found

    @cached_property
    def _sizes(self) -> dict[int, frozenset[int]]:
        return {m: frozenset(sizes) for m, sizes in self._tilings.items()}

    @property
    def _orders(self) -> list[Knob]:
        """One image is a group of images like any other block."""
        return [order for order in ORDERS if order != "image" or self.conv.batch > 1]

    @cached_property
    def _unit_blocks(self) -> list[Knob]:
        panel = 2 * self.task.lanes
        panels = -(-self.conv.units // panel)
        return [panel * count for count in sorted({*unit_panels(panels), min(MOST_PANELS, panels), panels})]

    @property
    def _rows(self) -> int:
        """Pixels that a direct convolution's register tiles cut."""
        return self.conv.batch * prod(self.conv.out_size)

    def _plan(self, m: int, tile_block: int, unit_block: int, order: str) -> Winograd:
        return Winograd(self.conv, m, phase_taps(self.conv), tile_block, unit_block, order)

    def allows(self, knobs: Mapping[str, Any]) -> bool:
        """A block of tiles must be one of its m's."""
        if set(knobs) != set(self.candidates) or not 1 <= knobs["mr"] <= self.task.rows:
            return False
        if not knobs["m"]:
            return all(knobs[name] == value for name, value in _NO_BLOCKS.items()) and cuts(self._rows, knobs["mr"])
        fits = knobs["tile_block"] in self._sizes.get(knobs["m"], ()) and knobs["unit_block"] in self._unit_blocks
        return fits and knobs["order"] in self._orders and cuts(knobs["tile_block"], knobs["mr"])

    def points(self, error_budget: float = WORST_ERROR, target: AnyTarget | None = None) -> Iterator[Knobs]:
        """Algorithm by algorithm: the product of all candidates holds few kernels."""
        yield from self._combined({"m": [0], "mr": self._mr, **{name: [value] for name, value in _NO_BLOCKS.items()}})
        for m, blocks in self._tilings.items():
            if self.error({"m": m}) <= error_budget:
                yield from self._combined(
                    {"m": [m], "mr": self._mr, "tile_block": list(blocks), "unit_block": self._unit_blocks,
                     "order": self._orders}
                )  # fmt: skip

    def error(self, knobs: Mapping[str, Any]) -> float:
        """The error table's."""
        if not knobs["m"]:
            return direct_error(self.task.workload.product[1])
        plan = self._plan(int(knobs["m"]), 1, 2 * self.task.lanes, "tile")
        return winograd_error(plan.m, plan.r, plan.depth)

    def plain(self, knobs: Mapping[str, Any]) -> bool:
        """Direct convolution."""
        return not knobs["m"]

    def algorithm(self, knobs: Mapping[str, Any]) -> str:
        """``direct`` or ``F(4, 5)``."""
        return f"F({knobs['m']}, {phase_taps(self.conv)})" if knobs["m"] else "direct"

    def plan(self, knobs: Mapping[str, Any]) -> Winograd | None:
        """The cut, None for direct convolution."""
        if not knobs["m"]:
            return None
        plan = self._plan(knobs["m"], knobs["tile_block"], knobs["unit_block"], knobs["order"])
        return replace(plan, conv=replace(self.conv, mr=knobs["mr"]))

    def imbalance(self, knobs: Mapping[str, Any], threads: int) -> float:
        """As the cost rule counts what threads share."""
        plan = self.plan(knobs)
        if plan is None:
            return 1.0
        return imbalance(replace(plan, conv=replace(plan.conv, tasks=threads)), threads)

    def canonical(self, knobs: Mapping[str, Any]) -> Knobs:
        """``mr`` is no larger than the rows it cuts."""
        rows = int(knobs["tile_block"]) if knobs.get("m") else self._rows
        mr = balanced(rows, min(int(knobs["mr"]), self.task.rows))[2]
        return {"m": knobs.get("m", 0), "mr": mr, **{name: knobs.get(name, none) for name, none in _NO_BLOCKS.items()}}
