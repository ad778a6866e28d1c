"""Which kernel of a task to try next: a search guided by the cost model, which what was measured corrects.

The cost rule's choice comes first, then the model's best of each algorithm.  From then on a linear model in the knobs
is fitted to the ratio of measured to predicted scores, and most trials go to what it holds fastest: anywhere, or one
knob away from the best so far.  Some are drawn at random, lest the model's error decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from nincc.records.score import score
from nincc.records.space import Knobs, Space
from nincc.target import AnyTarget
from nincc.tune.predict import predicted

RANDOM, NEAR = 0.15, 0.35
"""Shares of the trials drawn at random, and of those near the best so far."""
BEST = 3
"""Kernels whose neighbours are tried, and that are timed again at the end."""
FINAL_TRIALS = 3
"""Times that each of the best, and the rule's, is timed in all."""
CLOSE = 1.05
"""Only those are timed again that were within this share of the best."""
SLOWER = 2.0
"""What a kernel that failed counts as, to the model: this many times slower than predicted."""
RIDGE = 1.0
ALGORITHM = ("m", "strassen", "order", "splits")
"""The first of these knobs that a task has tells its algorithms apart."""
SIZES = {"tile_block", "unit_block", "block", "rows", "cols", "pixels", "shares", "slices", "splits", "chunk"}
"""Knobs whose logarithm counts; of the others each value counts for itself."""
UNCOUNTED = (0, 0.0)
GAIN = 0.99
"""An improvement is a score below this share of the best before."""

Array = np.ndarray[Any, Any]


@dataclass
class Search:
    """The trials of one task so far, and the next one.

    ``points`` are its kernels; ``times[i]`` are the seconds of the i-th (empty list: it failed), ``condemned`` those
    that crashed or were wrong in any trial.  Of a GPU's launch, ``counted[i]``
    are its instructions and the seconds in which the card issues them.
    """

    space: Space
    rule: Knobs
    target: AnyTarget
    error_budget: float
    seed: int = 0
    points: list[Knobs] = field(init=False)
    times: dict[int, list[float]] = field(init=False, default_factory=dict)
    counted: dict[int, tuple[int, float]] = field(init=False, default_factory=dict)
    condemned: set[int] = field(init=False, default_factory=set)
    trials: int = field(init=False, default=0)
    since: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.points = list(self.space.points(self.error_budget, self.target))
        self._index = {_key(knobs): index for index, knobs in enumerate(self.points)}
        if _key(self.rule) not in self._index:  # its error is within the budget, or it is a direct convolution
            self._index[_key(self.rule)] = len(self.points)
            self.points.append(self.rule)
        self._predicted = np.log(predicted(self.space, self.points, self.target))
        self._features = _features(self.points)
        self._first = [self._index[_key(self.rule)], *self._best_of_each()]
        self._pending: set[int] = set()

    @property
    def best(self) -> int | None:
        """The kernel of the least score so far; None before any ran right."""
        ranked = self.ranked()
        return ranked[0] if ranked else None

    @property
    def best_seconds(self) -> float | None:
        best = self.best
        return None if best is None else median(self.times[best])

    @property
    def rule_seconds(self) -> float | None:
        """The time of the cost rule's choice; None where it was not measured, or failed."""
        times = self.times.get(self._first[0])
        return median(times) if times else None

    @property
    def best_instructions(self) -> int:
        """Of the best kernel; 0 where they are not counted."""
        best = self.best
        return 0 if best is None else self.counted.get(best, UNCOUNTED)[0]

    @property
    def rule_instructions(self) -> int:
        """Of the cost rule's choice; 0 where they are not counted."""
        return self.counted.get(self._first[0], UNCOUNTED)[0]

    def score(self, index: int) -> float:
        """What a kernel that ran right is compared by, all threads sharing the work."""
        return self._score(index, self.space.imbalance(self.points[index], self.space.task.threads))

    def _score(self, index: int, imbalance: float = 1.0) -> float:
        return score(median(self.times[index]), self.counted.get(index, UNCOUNTED)[1], imbalance)

    def ranked(self) -> list[int]:
        """The kernels that ran right, the best first."""
        return sorted((index for index, times in self.times.items() if times), key=self.score)

    def add(
        self, knobs: Knobs, seconds: float | None, condemned: bool = False, counted: tuple[int, float] = UNCOUNTED
    ) -> None:
        """A trial's result; one of a kernel that is no point of this search (a wider error budget's) is left out.

        ``condemned``: the kernel crashed or was wrong, and none of its times counts.
        """
        index = self._index.get(_key(knobs))
        if index is None:
            return
        self._pending.discard(index)
        before = self.best
        bar = GAIN * self.score(before) if before is not None else float("inf")
        times = self.times.setdefault(index, [])
        self.trials += 1
        if seconds is not None and index not in self.condemned:
            times.append(seconds)
            self.counted[index] = counted
        if condemned:
            self.condemned.add(index)
            times.clear()
        self.since = 0 if times and self.score(index) < bar else self.since + 1

    def next(self) -> Knobs | None:
        """The next kernel to try, noted as pending; None when all have been."""
        index = self._choose(np.random.default_rng((self.seed, self.trials + len(self._pending))))
        return None if index is None else self._take(index)

    def next_final(self) -> Knobs | None:
        """The next of the best kernels, or the rule's, to time once more; None when all have been often enough."""
        ranked = self.ranked()
        close = [index for index in ranked[:BEST] if self.score(index) <= CLOSE * self.score(ranked[0])]
        for index in dict.fromkeys((self._first[0], *close)):
            times = self.times.get(index)
            if times and len(times) < FINAL_TRIALS and index not in self._pending:
                return self._take(index)
        return None

    def _take(self, index: int) -> Knobs:
        self._pending.add(index)
        return self.points[index]

    def _choose(self, rng: np.random.Generator) -> int | None:
        free = np.ones(len(self.points), bool)
        free[[*self.times, *self._pending]] = False
        if not free.any():
            return None
        for index in self._first:
            if free[index]:
                return index
        draw = rng.random()
        if draw < RANDOM:
            return int(rng.choice(np.flatnonzero(free)))
        order = np.argsort(self._estimates(), kind="stable")
        near = self._near() if draw < RANDOM + NEAR else free
        wanted = near & free if (near & free).any() else free
        return int(next(index for index in order if wanted[index]))

    def _near(self) -> Array:
        """The kernels one knob away from one of the best."""
        near = np.zeros(len(self.points), bool)
        for index in self.ranked()[:BEST]:
            knobs = self.points[index]
            apart = np.array([sum(other[name] != value for name, value in knobs.items()) for other in self.points])
            near |= apart == 1
        return near

    def _estimates(self) -> Array:
        """The logarithm of each kernel's score: predicted, and corrected by what was measured."""
        tried = np.array(list(self.times), int)
        if len(tried) < 3:
            return self._predicted
        found = [np.log(self._score(index)) if times else np.nan for index, times in self.times.items()]
        off = np.array(found) - self._predicted[tried]
        offset = np.nanmedian(off) if not np.isnan(off).all() else 0.0
        off = np.where(np.isnan(off), offset + np.log(SLOWER), off) - offset
        rows = self._features[tried]
        weights = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(rows.shape[1]), rows.T @ off)
        return np.asarray(self._predicted + offset + self._features @ weights)

    def _best_of_each(self) -> list[int]:
        """What the cost model holds best of each algorithm (of each order, of a product)."""
        best: dict[Any, int] = {}
        for index in np.argsort(self._predicted, kind="stable"):
            knobs = self.points[index]
            best.setdefault(next((knobs[name] for name in ALGORITHM if name in knobs), None), int(index))
        return list(best.values())


def _key(knobs: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted(knobs.items()))


def _features(points: list[Knobs]) -> Array:
    """The knobs as numbers: logarithms and their squares of sizes, one column a value of the others."""
    columns: list[Array] = []
    for name in points[0]:
        values = [knobs[name] for knobs in points]
        if name in SIZES:
            logs = np.log2(np.maximum(np.array(values, float), 1.0))
            logs -= logs.mean()
            columns += [logs, logs**2]
        else:
            columns += [np.array([value == other for value in values], float) for other in dict.fromkeys(values)]
    if "m" in points[0]:
        sizes = np.log2(np.maximum(np.array([float(knobs["tile_block"]) for knobs in points]), 1.0))
        by_order = np.array([knobs["order"] == "unit" for knobs in points], float)
        columns.append(by_order * (sizes - sizes.mean()))
    return np.stack(columns, axis=1)
