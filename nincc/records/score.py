"""What the kernels of one task are compared by, wherever the best of them is chosen: tuning, pruning, compiling."""

from __future__ import annotations

from nincc.kernels.cuda.energy import frugal


def score(seconds: float, issue: float = 0.0, imbalance: float = 1.0) -> float:
    """The least is the best.

    A CPU's kernel counts with its ``seconds``: the mean of one thread's and, by the ``imbalance`` of its cut, the
    busiest of all threads'.  A GPU's launch counts as in the cost rule.  Its seconds are an estimate, which cannot
    tell apart what is close; its instructions are exact, and power goes with them: so the seconds that the whole card
    takes to ``issue`` them count too.
    """
    return frugal(seconds * (1 + imbalance) / 2, issue)
