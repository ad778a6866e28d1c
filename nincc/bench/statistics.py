"""What a set of timings says: median, minimum and spread; and how two sets compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nincc.errors import InternalError


@dataclass(frozen=True)
class Timing:
    """The wall times of ``count`` inferences of one program, in seconds.

    ``p10`` and ``p90`` bound the middle eight tenths: the spread that a reader should expect.
    """

    count: int
    minimum: float
    p10: float
    median: float
    p90: float

    @property
    def spread(self) -> float:
        """(p90 − p10) ÷ median: 0.05 means that eight of ten runs lie within a band of 5 %."""
        return (self.p90 - self.p10) / self.median

    def gflops(self, macs: int) -> float:
        """Billions of float operations a second at the median, two to a multiply-accumulate."""
        return 2 * macs / self.median / 1e9


def summarise(seconds: Sequence[float]) -> Timing:
    """The summary of the given wall times, of which there must be at least one."""
    if not seconds:
        raise InternalError("no inference was timed")
    p10, median, p90 = np.percentile(np.asarray(seconds, dtype=np.float64), [10, 50, 90])
    return Timing(len(seconds), float(min(seconds)), float(p10), float(median), float(p90))


def ratio_of_medians(ours: Timing, theirs: Timing) -> float:
    """Our time as a share of theirs: 0.5 is twice as fast."""
    return ours.median / theirs.median
