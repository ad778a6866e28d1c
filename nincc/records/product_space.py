"""The kernels of a product: ``mr`` (rows of a register tile); of a ``gemm`` also ``order`` and, for the order "nm",
``block``, the tiles of rows that share a panel of weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nincc.kernels.error_table import direct_error
from nincc.kernels.spec import balanced
from nincc.records.space import ROW_BLOCKS, Knob, Knobs, Space, cuts, nearest
from nincc.records.workload import GEMM


@dataclass(frozen=True)
class ProductSpace(Space):
    """``gemm`` and ``gemm_pool``."""

    @property
    def _is_gemm(self) -> bool:
        return self.task.workload.kind == GEMM

    @property
    def _rows(self) -> int:
        """Rows that register tiles cut: those of one image where each has a mean of its own."""
        return int(self.task.workload.args[0 if self._is_gemm else 1])

    @cached_property
    def candidates(self) -> dict[str, list[Knob]]:
        """See the module."""
        if not self._is_gemm:
            return {"mr": self._mr}
        return {"mr": self._mr, "order": ["mn", "nm"], "block": [0, *self._blocks]}

    @cached_property
    def _blocks(self) -> list[Knob]:
        whole = {balanced(self._rows, mr)[0] for mr in range(1, self.task.rows + 1)}
        return sorted(whole | {count for count in ROW_BLOCKS if count < max(whole)})

    def allows(self, knobs: Mapping[str, Any]) -> bool:
        """No block is larger than all tiles."""
        if set(knobs) != set(self.candidates) or not 1 <= knobs["mr"] <= self.task.rows:
            return False
        if not cuts(self._rows, knobs["mr"]):
            return False
        if not self._is_gemm or knobs["order"] != "nm":
            return not self._is_gemm or (knobs["order"] == "mn" and knobs["block"] == 0)
        return knobs["block"] in self._blocks and 1 <= knobs["block"] <= balanced(self._rows, knobs["mr"])[0]

    def error(self, knobs: Mapping[str, Any]) -> float:
        """That of a sum of products."""
        return direct_error(self.task.workload.product[1])

    def algorithm(self, knobs: Mapping[str, Any]) -> str:
        """``gemm`` or ``gemm_pool``."""
        return self.task.workload.kind

    def canonical(self, knobs: Mapping[str, Any]) -> Knobs:
        """``mr`` is no larger than the rows it cuts, the block one of the candidates (0: all tiles)."""
        mr = balanced(self._rows, min(int(knobs["mr"]), self.task.rows))[2]
        if not self._is_gemm:
            return {"mr": mr}
        whole = balanced(self._rows, mr)[0]
        block = nearest(min(int(knobs["block"]) or whole, whole), self._blocks, whole)
        return {"mr": mr, "order": knobs["order"], "block": block if knobs["order"] == "nm" else 0}
