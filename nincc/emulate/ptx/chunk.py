"""The state of the blocks that run at once: registers, memory, which threads still run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nincc.emulate.ptx.lanes import Lanes, Shape
from nincc.emulate.ptx.memory import Memory, Storage
from nincc.emulate.ptx.observer import Observer
from nincc.emulate.ptx.registers import fresh_register
from nincc.emulate.ptx.scalar import Array
from nincc.emulate.ptx.spaces import WINDOW_BITS, WINDOWS, Layout, Part, find_global, find_in_layout
from nincc.emulate.ptx.syntax import Kernel
from nincc.errors import InternalError
from nincc.gpu_target import WARP


@dataclass(frozen=True)
class Setting:
    """What all chunks of a launch share.  ``addresses`` are those of module variables and of parameters."""

    kernel: Kernel
    memory: Memory
    shared: Layout
    local: Layout
    parameters: Storage
    addresses: Mapping[str, int]
    observer: Observer


class Chunk:
    """Runs the blocks of ``shape``.  ``living`` are the lanes that have not returned."""

    def __init__(self, setting: Setting, shape: Shape) -> None:
        self.setting = setting
        self.shape = shape
        self.observer = setting.observer
        self.registers: list[Array] = [fresh_register(register.type) for register in setting.kernel.registers]
        self.everyone = Lanes(shape)
        self.living = self.everyone
        self._specials: dict[str, Array] = {}
        self._shared = Storage(shape.blocks * setting.shared.stride)
        self._local = Storage(shape.size * setting.local.stride)

    def retire(self, lanes: Lanes) -> None:
        """These lanes have returned."""
        alive = np.zeros(self.shape.size, bool)
        alive[self.living.numbers] = True
        alive[lanes.numbers] = False
        self.living = Lanes(self.shape, np.flatnonzero(alive))

    def symbol(self, name: str) -> int:
        """The address of a variable or parameter, in its own space."""
        for places in (self.setting.shared.places, self.setting.local.places, self.setting.addresses):
            if name in places:
                return places[name]
        raise InternalError(f"kernel '{self.setting.kernel.name}' names '{name}', which its PTX does not declare")

    def special(self, name: str) -> Array:
        """A special register's value for every lane, or one for all."""
        if name not in self._specials:
            self._specials[name] = self._make_special(name)
        return self._specials[name]

    def _make_special(self, name: str) -> Array:
        base, _, axis = name[1:].partition(".")
        shape = self.shape
        if axis:
            extent = shape.block_extent if base in ("tid", "ntid") else shape.grid
            place = "xyz".index(axis)
            if base.startswith("n"):
                return np.array([extent[place]])
            number = shape.thread if base == "tid" else shape.block + shape.first
            below = extent[0] * extent[1] if place == 2 else extent[0] if place == 1 else 1
            return number // below % extent[place]
        lane = shape.thread % WARP
        if base.startswith("lanemask"):
            bit = np.int64(1) << lane
            masks = {"eq": bit, "lt": bit - 1, "le": 2 * bit - 1, "gt": -2 * bit, "ge": -bit}
            return masks[base.removeprefix("lanemask_")] & 0xFFFF_FFFF
        values = {"laneid": lane, "warpid": shape.thread // WARP, "nwarpid": np.array([shape.warps])}
        return values.get(base, np.array([1 if base == "nsmid" else 0]))

    def find(self, space: str, addresses: Array, lanes: Lanes, size: int) -> list[Part]:
        """Where the bytes of an access lie.  AddressFault for one that is out of bounds."""
        if space == "generic":
            return self._find_generic(addresses, lanes, size)
        if space == "shared":
            return find_in_layout(space, self.setting.shared, self._shared, lanes.block, addresses, lanes, size)
        if space == "local":
            return find_in_layout(space, self.setting.local, self._local, lanes.numbers, addresses, lanes, size)
        if space == "param":
            return [Part(space, self.setting.parameters, addresses, lanes)]
        return find_global(self.setting.memory, space, addresses, lanes, size)

    def _find_generic(self, addresses: Array, lanes: Lanes, size: int) -> list[Part]:
        """Addresses in the windows of shared and local memory belong there, all others are global."""
        windows = addresses >> WINDOW_BITS
        kinds = {base >> WINDOW_BITS: space for space, base in WINDOWS.items() if space in ("shared", "local")}
        first = int(windows[0])
        if (windows == first).all():
            space = kinds.get(first, "global")
            return self.find(space, addresses - WINDOWS[space], lanes, size)
        parts = []
        for window in np.unique(windows):
            where = np.flatnonzero(windows == window)
            space = kinds.get(int(window), "global")
            for part in self.find(space, addresses[where] - WINDOWS[space], lanes.select(where), size):
                inner = where if part.where is None else where[part.where]
                parts.append(Part(part.space, part.storage, part.offsets, part.lanes, inner))
        return parts
