"""The device's memory: allocations with gaps between them, so that an access past an end is seen."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable

import numpy as np

from nincc.emulate.ptx.faults import AddressFault
from nincc.emulate.ptx.scalar import Array

BASE = 0x7000_0000_0000
ALIGNMENT = 512
GAP = 4096
POISON = 0xFF  # fills fresh memory: not a number as a float, -1 as an integer
WIDEST = 16  # bytes that one access may take: storage is a whole number of these


class Storage:
    """Bytes that kernels access, with what the observers of a launch know of them.

    ``written`` tells for each 4-byte word whether anybody has written it.
    """

    def __init__(self, size: int, *, fill: int = POISON) -> None:
        self.data = np.full(-(-size // WIDEST) * WIDEST, fill, np.uint8)
        self.written = np.zeros(self.data.size // 4, bool)
        self.observations: dict[str, Array] = {}

    def view(self, dtype: np.dtype[np.generic]) -> Array:
        """The bytes as elements of ``dtype``."""
        return self.data.view(dtype)

    def observed(self, name: str, make: Callable[[int], Array]) -> Array:
        """What a launch notes about this storage under ``name``; ``make`` gives its start, of a size in bytes."""
        if name not in self.observations:
            self.observations[name] = make(self.data.size)
        return self.observations[name]


class Allocation(Storage):
    """``size`` bytes from ``address`` on."""

    def __init__(self, address: int, size: int) -> None:
        super().__init__(size)
        self.address = address
        self.size = size

    @property
    def end(self) -> int:
        return self.address + self.size


class Memory:
    """A device's address space.  Addresses are never given twice, so that use after free is seen too.

    Every method raises AddressFault for bytes that lie in no allocation.
    """

    def __init__(self) -> None:
        self._next = BASE
        self._starts: list[int] = []
        self._allocations: dict[int, Allocation] = {}
        self.variables: dict[tuple[int, str], int] = {}

    def allocate(self, size: int) -> int:
        """The address of ``size`` new bytes, which hold no numbers (POISON) until they are written."""
        allocation = Allocation(self._next, max(size, 1))
        self._next += -(-(allocation.size + GAP) // ALIGNMENT) * ALIGNMENT
        insort(self._starts, allocation.address)
        self._allocations[allocation.address] = allocation
        return allocation.address

    def free(self, address: int) -> None:
        """Gives back what :meth:`allocate` gave."""
        if address not in self._allocations:
            raise AddressFault(f"{address:#x} is no allocation's address")
        del self._allocations[address]
        self._starts.remove(address)

    def write(self, address: int, data: bytes | Array) -> None:
        """Copies ``data`` (bytes, or an array of any type) to ``address``."""
        values = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else _bytes_of(data)
        allocation, offset = self._place(address, values.size)
        allocation.data[offset : offset + values.size] = values
        allocation.written[offset // 4 : -(-(offset + values.size) // 4)] = True

    def read(self, address: int, size: int) -> bytes:
        """A copy of ``size`` bytes from ``address`` on."""
        allocation, offset = self._place(address, size)
        return allocation.data[offset : offset + size].tobytes()

    def allocations(self) -> list[Allocation]:
        """Those that live, by address."""
        return [self._allocations[start] for start in self._starts]

    def find(self, address: int) -> Allocation | None:
        """The allocation that holds the byte at ``address``."""
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        allocation = self._allocations[self._starts[place]]
        return allocation if address < allocation.end else None

    def _place(self, address: int, size: int) -> tuple[Allocation, int]:
        allocation = self.find(address)
        if allocation is None or address + size > allocation.end:
            raise AddressFault(f"{size} bytes at {address:#x} lie in no allocation")
        return allocation, address - allocation.address


def _bytes_of(data: Array) -> Array:
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8)
