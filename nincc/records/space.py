"""The knobs of a task, which of their combinations are kernels, and what each kernel's attributes are.

A convolution's knobs are ``m`` (0: direct convolution, else Winograd F(m, r)), ``mr`` (rows of a register tile) and,
for Winograd, ``tile_block``, ``unit_block`` and ``order`` (0 and "" for a direct one).  A product's are ``mr``,
``order`` and, for the order "nm", ``block``, the tiles of rows that share a panel of weights.
Two combinations never give the same kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

from nincc.kernels.error_table import WINOGRAD, direct_error, winograd_error
from nincc.kernels.spec import Conv, balanced
from nincc.kernels.winograd_spec import ORDERS, Winograd, is_winograd_shape, phase_taps
from nincc.records.workload import CONV, GEMM, Task

Knob = int | str
Knobs = dict[str, Knob]

LARGEST_BLOCK = 8 << 20
"""Bytes of the largest block of transformed tiles worth trying: twice what the last of the usual L2 caches holds."""
UNIT_PANELS = (1, 2, 4, 8, 16)
"""Panels of output channels that a block may have, besides all."""
ROW_BLOCKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512)
"""Tiles of rows that may share a panel of weights, besides all."""
WORST_ERROR = 1e-3
"""Tile sizes of a larger error than this share of the layer's maximum are not in the space."""


@dataclass(frozen=True)
class Space:
    """All kernels of one task."""

    task: Task

    @cached_property
    def conv(self) -> Conv:
        return self.task.workload.conv(self.task.lanes, tasks=self.task.threads)

    @cached_property
    def candidates(self) -> dict[str, list[Knob]]:
        """Each knob's values, in a fixed order; not every combination of them is a kernel."""
        mr: list[Knob] = list(range(1, self.task.rows + 1))
        if self.task.workload.kind == GEMM:
            return {"mr": mr, "order": ["mn", "nm"], "block": [0, *self._row_blocks]}
        if self.task.workload.kind != CONV:
            return {"mr": mr}
        blocks = sorted({size for plan in self._tilings.values() for size in plan})
        return {
            "m": [0, *self._tilings],
            "mr": mr,
            "tile_block": [0, *blocks],
            "unit_block": [0, *self._unit_blocks] if self._tilings else [0],
            "order": ["", *self._orders] if self._tilings else [""],
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

    @property
    def _orders(self) -> list[Knob]:
        """One image is a group of images like any other block."""
        return [order for order in ORDERS if order != "image" or self.conv.batch > 1]

    @cached_property
    def _row_blocks(self) -> list[Knob]:
        whole = {balanced(self._rows, mr)[0] for mr in range(1, self.task.rows + 1)}
        return sorted(whole | {count for count in ROW_BLOCKS if count < max(whole)})

    @cached_property
    def _sizes(self) -> dict[int, frozenset[int]]:
        return {m: frozenset(sizes) for m, sizes in self._tilings.items()}

    @cached_property
    def _unit_blocks(self) -> list[int]:
        panel = 2 * self.task.lanes
        panels = -(-self.conv.units // panel)
        return [panel * count for count in sorted({min(count, panels) for count in (*UNIT_PANELS, panels)})]

    def _plan(self, m: int, tile_block: int, unit_block: int, order: str) -> Winograd:
        return Winograd(self.conv, m, phase_taps(self.conv), tile_block, unit_block, order)

    def allows(self, knobs: Mapping[str, Any]) -> bool:
        """Whether these knobs are a kernel of the space."""
        if set(knobs) != set(self.candidates) or not 1 <= knobs["mr"] <= self.task.rows:
            return False
        if self.task.workload.kind != CONV:
            return self._cuts(self._rows, knobs["mr"]) and self._walks(knobs)
        blocking = (knobs["tile_block"], knobs["unit_block"], knobs["order"])
        if not knobs["m"]:
            return blocking == (0, 0, "") and self._cuts(self._rows, knobs["mr"])
        tile_block, unit_block, order = blocking
        fits = tile_block in self._sizes.get(knobs["m"], ()) and unit_block in self._unit_blocks
        return fits and order in self._orders and self._cuts(tile_block, knobs["mr"])

    @property
    def _rows(self) -> int:
        """Rows that register tiles cut, of a product or a direct convolution."""
        if self.task.workload.kind == CONV:
            return self.conv.batch * prod(self.conv.out_size)
        return int(self.task.workload.args[0 if self.task.workload.kind == GEMM else 1])

    def _cuts(self, rows: int, mr: int) -> bool:
        """Whether no smaller ``mr`` cuts the rows in the same tiles."""
        return balanced(rows, mr)[2] == mr

    def _walks(self, knobs: Mapping[str, Any]) -> bool:
        """Whether the order and the block of a product are one walk over its tiles: no block is larger than all."""
        if self.task.workload.kind != GEMM:
            return True
        if knobs["order"] == "mn":
            return bool(knobs["block"] == 0)
        whole = balanced(self._rows, knobs["mr"])[0]
        return knobs["order"] == "nm" and (knobs["block"] == whole or knobs["block"] in self._row_blocks[:-1]) and (
            1 <= knobs["block"] <= whole
        )

    def points(self, error_budget: float = WORST_ERROR) -> Iterator[Knobs]:
        """Every kernel whose predicted error fits the budget."""
        if self.task.workload.kind != CONV:
            yield from self._combined(self.candidates)
            return
        mr = self.candidates["mr"]
        yield from self._combined({"m": [0], "mr": mr, "tile_block": [0], "unit_block": [0], "order": [""]})
        for m, blocks in self._tilings.items():
            if self.error({"m": m}) > error_budget:
                continue
            units: list[Knob] = list(self._unit_blocks)
            yield from self._combined(
                {"m": [m], "mr": mr, "tile_block": list(blocks), "unit_block": units, "order": self._orders}
            )

    def _combined(self, candidates: Mapping[str, list[Knob]]) -> Iterator[Knobs]:
        for values in product(*candidates.values()):
            knobs = dict(zip(candidates, values, strict=True))
            if self.allows(knobs):
                yield knobs

    def error(self, knobs: Mapping[str, Any]) -> float:
        """The predicted float32 error as a share of the layer's largest output."""
        if knobs.get("m"):
            plan = self._plan(int(knobs["m"]), 1, 2 * self.task.lanes, "tile")
            return winograd_error(plan.m, plan.r, plan.depth)
        return direct_error(self.task.workload.product[1])

    def plan(self, knobs: Mapping[str, Any]) -> Winograd | None:
        """The cut of a Winograd kernel; None for every other one."""
        if not knobs.get("m"):
            return None
        plan = self._plan(knobs["m"], knobs["tile_block"], knobs["unit_block"], knobs["order"])
        return replace(plan, conv=replace(self.conv, mr=knobs["mr"]))

    def imbalance(self, knobs: Mapping[str, Any], threads: int) -> float:
        """How much longer the busiest of ``threads`` threads works than an even share; 1 where the cut is even."""
        plan = self.plan(knobs)
        if plan is None:
            return 1.0
        by_order = {"image": plan.groups, "tile": plan.tile_blocks, "unit": plan.tile_blocks * plan.unit_blocks}
        items = by_order[plan.order]
        return -(-items // threads) * threads / items

    def canonical(self, knobs: Mapping[str, Any]) -> Knobs:
        """The kernel of the space that these attributes of an operator are, or the nearest one to it.

        ``mr`` is no larger than the rows it cuts, a product's block one of its candidates.
        """
        rows = int(knobs["tile_block"]) if knobs.get("m") else self._rows
        mr = balanced(rows, min(int(knobs["mr"]), self.task.rows))[2]
        found = {name: mr if name == "mr" else knobs.get(name, default) for name, default in self._blank.items()}
        if self.task.workload.kind == GEMM:
            whole = balanced(rows, mr)[0]
            wanted = min(int(knobs["block"]) or whole, whole)
            fitting = [block for block in self._row_blocks if int(block) <= whole]
            nearest = min(fitting, key=lambda block: abs(int(block) - wanted))
            found["block"] = nearest if found["order"] == "nm" else 0
        return found

    @property
    def _blank(self) -> Knobs:
        """The space's knobs with the values that mean none."""
        return {name: values[0] for name, values in self.candidates.items()}


def algorithm(knobs: Mapping[str, Any], task: Task) -> str:
    """``direct``, ``F(4, 5)`` or ``gemm``."""
    if task.workload.kind != CONV:
        return task.workload.kind
    return f"F({knobs['m']}, {phase_taps(task.workload.conv(task.lanes))})" if knobs["m"] else "direct"


def knobs_text(knobs: Mapping[str, Any]) -> str:
    """The knobs that mean something, for a table."""
    return " ".join(f"{name}={value}" for name, value in knobs.items() if value not in (0, ""))
