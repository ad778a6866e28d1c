"""What a launch watches while it runs: uninitialised reads, races, traffic.  Each part is there only if asked for."""

from __future__ import annotations

import numpy as np

from nincc.emulate.ptx.faults import UninitialisedFault
from nincc.emulate.ptx.ordering import RaceDetector
from nincc.emulate.ptx.spaces import Part
from nincc.emulate.ptx.traffic import Traffic

_WATCHED = ("global", "shared")


class Observer:
    """Is told of each access before it happens.  Faults are raised by its parts."""

    def __init__(self, races: RaceDetector | None, traffic: Traffic | None, *, uninitialised: bool) -> None:
        self.races = races
        self._traffic = traffic
        self._uninitialised = uninitialised

    def read(self, part: Part, size: int) -> None:
        """The lanes of ``part`` load ``size`` bytes each."""
        self._watch("read", part, size)

    def write(self, part: Part, size: int) -> None:
        """The lanes of ``part`` store ``size`` bytes each."""
        self._watch("write", part, size)

    def atomic(self, part: Part, size: int) -> None:
        """The lanes of ``part`` load, change and store ``size`` bytes each, with nothing in between."""
        self._watch("atomic", part, size)

    def _watch(self, kind: str, part: Part, size: int) -> None:
        if part.space == "param":
            return
        if self._uninitialised:
            self._check_written(kind, part, size)
        if part.space not in _WATCHED:
            return
        if self.races is not None:
            self.races.access(kind, part, size)
        if self._traffic is not None:
            self._traffic.access(part, size, write=kind != "read")
            if kind == "atomic":
                self._traffic.access(part, size, write=False)

    @staticmethod
    def _check_written(kind: str, part: Part, size: int) -> None:
        """In words of 4 bytes: a word counts as written when any byte of it is."""
        words = part.offsets // 4
        for number in range(max(size // 4, 1)):
            if kind != "read":
                part.storage.written[words + number] = True
                continue
            missing = ~part.storage.written[words + number]
            if missing.any():
                lane = int(part.lanes.numbers[np.argmax(part.lanes.spread(missing))])
                raise UninitialisedFault(f"a read of {part.space} memory that was never written", lane=lane)
