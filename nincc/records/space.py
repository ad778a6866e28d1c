"""The knobs of a task, which of their combinations are kernels, and what is known of each without running it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from nincc.kernels.spec import balanced
from nincc.kernels.winograd_spec import Winograd
from nincc.records.task import Task
from nincc.target import AnyTarget

Knob = int | str
Knobs = dict[str, Knob]

WORST_ERROR = 1e-3
"""Algorithms of a larger error than this share of the layer's maximum are not in a space."""
ROW_BLOCKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512)
"""Tiles of rows that may share a panel of weights, besides all."""


@dataclass(frozen=True)
class Space(ABC):
    """All kernels of one task; two combinations of knobs never give the same one."""

    task: Task

    @property
    @abstractmethod
    def candidates(self) -> dict[str, list[Knob]]:
        """Each knob's values, in a fixed order; not every combination of them is a kernel."""

    @abstractmethod
    def allows(self, knobs: Mapping[str, Any]) -> bool:
        """Whether these knobs are a kernel of the space."""

    @abstractmethod
    def error(self, knobs: Mapping[str, Any]) -> float:
        """The predicted float32 error as a share of the layer's largest output."""

    @abstractmethod
    def canonical(self, knobs: Mapping[str, Any]) -> Knobs:
        """The kernel of the space that these attributes of an operator are, or the nearest one to it."""

    @abstractmethod
    def algorithm(self, knobs: Mapping[str, Any]) -> str:
        """The algorithm's name in a table: ``direct``, ``F(4, 5)``, ``gemm`` …"""

    def plain(self, knobs: Mapping[str, Any]) -> bool:
        """Whether the algorithm makes the graph's own multiplications: its weights are not larger, its error least."""
        return True

    def fits(self, knobs: Mapping[str, Any], target: AnyTarget) -> bool:
        """Whether ``target`` can hold the kernel."""
        return True

    def plan(self, knobs: Mapping[str, Any]) -> Winograd | None:
        """The cut of a Winograd kernel; None for every other one."""
        return None

    def imbalance(self, knobs: Mapping[str, Any], threads: int) -> float:
        """How much longer the busiest of ``threads`` threads works than an even share; 1 where the cut is even."""
        return 1.0

    def points(self, error_budget: float = WORST_ERROR, target: AnyTarget | None = None) -> Iterator[Knobs]:
        """Every kernel whose predicted error fits the budget, and the plain ones whatever theirs.

        Of a launch, which has too many, those that are the most promising on ``target``.
        """
        for knobs in self._combined(self.candidates):
            if self.plain(knobs) or self.error(knobs) <= error_budget:
                yield knobs

    def _combined(self, candidates: Mapping[str, list[Knob]]) -> Iterator[Knobs]:
        for values in product(*candidates.values()):
            knobs = dict(zip(candidates, values, strict=True))
            if self.allows(knobs):
                yield knobs

    @property
    def _mr(self) -> list[Knob]:
        return list(range(1, self.task.rows + 1))


def cuts(rows: int, mr: int) -> bool:
    """Whether no smaller ``mr`` cuts the rows in the same tiles."""
    return balanced(rows, mr)[2] == mr


def nearest(wanted: int, candidates: list[Knob], largest: int) -> Knob:
    """The candidate up to ``largest`` that is nearest to ``wanted``."""
    return min((c for c in candidates if int(c) <= largest), key=lambda candidate: abs(int(candidate) - wanted))


def knobs_text(knobs: Mapping[str, Any]) -> str:
    """The knobs that mean something, for a table."""
    return " ".join(f"{name}={value}" for name, value in knobs.items() if value not in (0, ""))
