"""What a kernel does wrong when it runs, told with the instruction, the block and the thread that did it.

They are verification errors: a kernel that faults is a library that is wrong (exit 3).
"""

from __future__ import annotations

from nincc.errors import InternalError, VerificationError


class KernelFault(VerificationError):
    """Base of all faults.  ``lane`` is the offending thread's place in the chunk that runs, -1 for none."""

    def __init__(self, what: str, *, lane: int = -1, where: str | None = None) -> None:
        super().__init__(what, where=where)
        self.lane = lane

    def located(self, where: str) -> KernelFault:
        """The same fault, with the place in the code and the thread."""
        return type(self)(self.what, lane=self.lane, where=where)


class AddressFault(KernelFault):
    """An access outside of every allocation."""


class AlignmentFault(KernelFault):
    """An access whose address is no multiple of its size."""


class RaceFault(KernelFault):
    """Two threads meet at one address, one of them writes, and nothing orders them."""


class UninitialisedFault(KernelFault):
    """A read of memory that nobody has written."""


class BarrierFault(KernelFault):
    """A barrier, shuffle or vote that not all of the threads it needs reach together."""


class TrapFault(KernelFault):
    """The kernel stopped itself, or never ends."""


def unknown(line: int, text: str) -> InternalError:
    """For an instruction, or a form of one, that the interpreter does not know."""
    what = f"the PTX interpreter does not know the instruction '{text}'"
    return InternalError(what, where=f"PTX line {line}", hint="report it with the model that was compiled")
