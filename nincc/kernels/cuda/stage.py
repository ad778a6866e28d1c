"""One layer of a GPU launch, as plain values.  No TVM."""

from __future__ import annotations

from dataclasses import dataclass

from nincc.kernels.spec import round_up

QUAD = 4
"""Floats of a 16-byte load: channels are stored and read in quads."""


@dataclass(frozen=True)
class Stage:
    """One layer of a launch.

    ``depth`` is its reduction as the weights are stored: channels of a tap (or all of the columns), padded with
    zeros.  ``columns`` is 4 or 8.
    """

    units: int
    depth: int
    activation: str
    pixels: int
    columns: int
    shares: int

    @property
    def width(self) -> int:
        """Output channels as they are stored."""
        return round_up(self.units, QUAD)


WRITTEN_OUT = 768
"""Multiply-adds of a loop's body: a few kilobytes of code, which the instruction cache holds."""
WITHOUT_LOOP = 1280
"""Multiply-adds up to which no loop is made: the sums then need no zeros to start from."""


def written_out(quads: int, stage: Stage) -> int:
    """Quads of the reduction written out one after another: their loads start together, and share the loop's own
    work.
    """
    each = QUAD * stage.pixels * stage.columns
    if quads * each <= WITHOUT_LOOP:
        return quads
    return max(n for n in range(1, max(1, WRITTEN_OUT // each) + 1) if quads % n == 0)
