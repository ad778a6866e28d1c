"""How the accesses of a warp load the memory system: sectors of global memory, wavefronts of shared memory."""

from __future__ import annotations

import numpy as np

from nincc.emulate.ptx.counts import Counts
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.scalar import Array
from nincc.emulate.ptx.spaces import Part
from nincc.gpu_target import SECTOR, WARP

BANKS = 32
BANK = 4  # bytes of a bank


class Traffic:
    """Adds each access of a launch to ``counts``."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self._touched: dict[tuple[str, int], Array] = {}

    def access(self, part: Part, size: int, *, write: bool) -> None:
        """One instruction's access of ``size`` bytes a lane."""
        if part.space == "global":
            self._global(part, size, write)
        elif part.space == "shared":
            self._shared(part, size)

    def finish(self) -> None:
        """Counts what is only known at the end."""
        for (kind, _), touched in self._touched.items():
            if kind == "write":
                self.counts.unique_write_sectors += int(np.count_nonzero(touched))
            else:
                self.counts.unique_read_sectors += int(np.count_nonzero(touched))

    def _global(self, part: Part, size: int, write: bool) -> None:
        sectors = part.offsets // SECTOR
        if sectors.size == part.lanes.count:
            count = count_distinct(part.lanes.warp, sectors)
        else:
            count = count_distinct(part.lanes.warp, np.zeros(1, np.int64))
        kind = "write" if write else "read"
        touched = part.storage.observed(f"sectors {kind}", lambda size: np.zeros(-(-size // SECTOR), bool))
        self._touched[kind, id(part.storage)] = touched
        touched[sectors] = True
        if write:
            self.counts.write_bytes += size * part.lanes.count
            self.counts.write_sectors += count
        else:
            self.counts.read_bytes += size * part.lanes.count
            self.counts.read_sectors += count

    def _shared(self, part: Part, size: int) -> None:
        width = max(size, BANK)
        units = part.lanes.spread(part.offsets // width)
        banks = BANKS * BANK // width
        rows = in_rows(part.lanes, units, banks)
        self.counts.shared_wavefronts += wavefronts(rows, banks)
        self.counts.shared_ideal += len(rows)
        self.counts.shared_merged += wavefronts(in_rows(part.lanes, units, WARP), banks)


def count_distinct(warps: Array, values: Array) -> int:
    """How many pairs of warp and value there are.  ``warps`` ascend."""
    keys = (warps << 40) + values
    steps = np.diff(keys)
    if (steps < 0).any():
        keys.sort()
        steps = np.diff(keys)
    return 1 + int(np.count_nonzero(steps))


def in_rows(lanes: Lanes, values: Array, width: int) -> Array:
    """A row for each group of ``width`` neighbouring lanes of a warp, as far as any of them is active.

    In the place of an inactive lane stands an active one's value: it adds nothing.
    """
    if lanes.index is None and lanes.shape.threads % WARP == 0:
        return values.reshape(-1, width)
    rows = np.full(lanes.shape.blocks * lanes.shape.warps * WARP, -1, np.int64)
    rows[lanes.place] = values
    groups = rows.reshape(-1, width)
    some = groups.max(axis=1, keepdims=True)
    filled: Array = np.where(groups < 0, some, groups)[some[:, 0] >= 0]
    return filled


def wavefronts(rows: Array, banks: int) -> int:
    """Clocks that the rows take: each as many as the different units that fall into its busiest bank."""
    first = rows[:, :1]
    # Units within one width of the banks lie in different banks, or are the same.
    simple = ((rows - first).view(np.uint64) < banks).all(axis=1) if len(rows) else np.ones(0, bool)
    left = rows[~simple]
    count = int(np.count_nonzero(simple))
    if not len(left):
        return count
    units = np.sort(left, axis=1)
    new = np.ones(units.shape, bool)
    new[:, 1:] = units[:, 1:] != units[:, :-1]
    row = np.broadcast_to(np.arange(len(left))[:, None], units.shape)
    load = np.bincount((row * banks + units % banks)[new], minlength=len(left) * banks)
    return count + int(load.reshape(-1, banks).max(axis=1).sum())
