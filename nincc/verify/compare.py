"""Compares outputs with a reference: the error, its limit, and the tolerance that would pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nincc.verify.ops.registry import Array


@dataclass(frozen=True)
class Tolerance:
    """An error may reach ``atol + rtol * max|reference|``, and never more than ``cap``."""

    rtol: float
    atol: float
    cap: float = math.inf

    def limit(self, largest: float) -> float:
        """The largest error allowed where the reference's largest magnitude is ``largest``."""
        return min(self.cap, self.atol + self.rtol * largest)


#: float32 sums over a NIN's deepest layers are off by 1e-7 to 1e-6 of the largest logit, Winograd's by up to
#: 5e-6 a layer: 2e-5 leaves both room, and is far below what changes an answer.  The absolute part is for
#: outputs that cancel to nearly nothing.
LOGITS = Tolerance(rtol=2e-5, atol=1e-6)

#: A logit error e is a relative error e of a probability, so nearly even probabilities must agree more
#: closely than 1e-5, and no probability may be off by more; but see SHARE_OF_LOGITS.
PROBABILITIES = Tolerance(rtol=5e-5, atol=1e-6, cap=1e-5)

#: Logits that are far apart are large, and so are their errors: float32 alone rounds logits of 600 by 3e-5.  A
#: difference of logits may be off by this share of how far they are apart, a tenth of what LOGITS allows; a probability
#: p by p(1 - p) of that, the derivative: a quarter near one half.
SHARE_OF_LOGITS = 2e-6

_LEAST = 1e-300
"""A probability of 0 counts as this in float64's reach."""


def is_probability(reference: Array) -> bool:
    """Whether the numbers are distributions over the second axis: none negative, sums of 1."""
    if reference.ndim < 2 or reference.shape[1] < 2 or not np.isfinite(reference).all():
        return False
    sums = reference.sum(axis=1, dtype=np.float64)
    return bool(reference.min() >= 0 and np.abs(sums - 1).max() < 1e-5)


def default_tolerance(reference: Array) -> Tolerance:
    """What nincc promises for an output like ``reference``.

    Of probabilities the most that any of its rows allows: SHARE_OF_LOGITS of a row's distance by its most undecided
    probability, beside PROBABILITIES' share of the largest, and no more than that makes of one half.
    """
    if not is_probability(reference):
        return LOGITS
    chances = np.asarray(reference, np.float64)
    logits = np.log(np.maximum(chances, _LEAST))
    off = SHARE_OF_LOGITS * (logits.max(axis=1) - logits.min(axis=1))
    tied = float((off * (chances * (1 - chances)).max(axis=1)).max())
    cap = max(PROBABILITIES.cap, float(off.max()) / 4)
    return replace(PROBABILITIES, atol=max(PROBABILITIES.atol, tied), cap=cap)


@dataclass(frozen=True)
class Difference:
    """How far one tensor is from its reference.

    ``largest`` is max|reference|; the errors are infinite where a value that should be finite is not.
    """

    max_abs: float
    mean_abs: float
    largest: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.max_abs <= self.limit

    @property
    def relative(self) -> float:
        """The largest error over the largest reference; 0 where both are 0."""
        if self.max_abs == 0:
            return 0.0
        return self.max_abs / self.largest if self.largest else math.inf

    @property
    def share_of_limit(self) -> float:
        """The largest error over its limit: above 1 fails."""
        if self.max_abs == 0:
            return 0.0
        return self.max_abs / self.limit if self.limit else math.inf


def compare(value: Array, reference: Array, tolerance: Tolerance | None = None) -> Difference:
    """The difference of ``value`` from ``reference``, of the same number of elements.

    Without a tolerance, the default for such an output.  A NaN or infinity anywhere fails.
    """
    value, reference = np.asarray(value, np.float64), np.asarray(reference, np.float64)
    tolerance = tolerance or default_tolerance(reference)
    if value.shape != reference.shape or not (np.isfinite(value).all() and np.isfinite(reference).all()):
        finite = np.abs(reference[np.isfinite(reference)])
        largest = float(finite.max(initial=0.0))
        return Difference(math.inf, math.inf, largest, tolerance.limit(largest))
    error = np.abs(value - reference)
    largest = float(np.abs(reference).max(initial=0.0))
    mean = float(error.mean()) if error.size else 0.0
    return Difference(float(error.max(initial=0.0)), mean, largest, tolerance.limit(largest))
