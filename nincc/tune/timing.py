"""What a runner gives, and how many runs make a time.  Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nincc.tune.data import Floats

SPENT = 0.12
"""Seconds of timed runs a trial."""
LEAST_RUNS, MOST_RUNS = 5, 300


@dataclass(frozen=True)
class Result:
    """The kernel's output and its time; ``estimate`` where that was computed, ``where`` it ran (empty: here)."""

    output: Floats
    seconds: float
    estimate: bool = False
    where: str = ""


def runs_for(seconds: float, spent: float) -> int:
    """How many runs of ``seconds`` each fit into ``spent``, within reason."""
    return int(min(MOST_RUNS, max(LEAST_RUNS, spent / max(seconds, 1e-7))))


def robust(times: np.ndarray[Any, Any]) -> float:
    """The lower quartile: what others do on the machine only ever adds time."""
    return float(np.quantile(times, 0.25))
