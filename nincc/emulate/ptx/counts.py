"""What a launch did, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from nincc.emulate.ptx.instructions import is_float
from nincc.emulate.ptx.syntax import Instruction

CLASSES = (
    "fma",
    "float",
    "integer",
    "move",
    "predicate",
    "load_global",
    "store_global",
    "load_shared",
    "store_shared",
    "load_const",
    "local",
    "atomic",
    "shuffle",
    "barrier",
    "control",
)
"""The classes of instructions.  ``load_const`` are loads of parameters and constants, ``move`` copies, conversions and
selections, ``predicate`` comparisons, ``local`` loads and stores of a thread's own memory."""

_MOVES = {"mov", "cvt", "cvta", "selp", "slct"}
_CONTROL = {"bra", "brx", "ret", "exit", "trap", "membar", "fence", "nanosleep"}
_SHUFFLES = {"shfl", "vote", "activemask"}


def classify(instruction: Instruction) -> str:
    """The instruction's class."""
    name = instruction.name
    if name in ("ld", "ldu", "st"):
        return _memory_class(instruction)
    if name in ("atom", "red"):
        return "atomic"
    if name in ("bar", "barrier"):
        return "barrier"
    if name in _SHUFFLES:
        return "shuffle"
    if name in _CONTROL:
        return "control"
    if name in _MOVES:
        return "move"
    if name in ("setp", "set", "testp") or instruction.opcode[-1] == "pred":
        return "predicate"
    if not is_float(instruction.opcode[-1]):
        return "integer"
    return "fma" if name in ("fma", "mad") else "float"


def _memory_class(instruction: Instruction) -> str:
    parts = {part.split("::")[0] for part in instruction.opcode}
    if parts & {"param", "const"}:
        return "load_const"
    if "local" in parts:
        return "local"
    space = "shared" if "shared" in parts else "global"
    return f"{'store' if instruction.name == 'st' else 'load'}_{space}"


@dataclass
class Counts:
    """Sums over all threads of one launch, or of several added up.

    ``instructions`` are by class, a warp's as often as threads execute it.  ``longest_thread`` is the most
    instructions that one thread executes (of several launches, their sum).

    Global memory: ``read_bytes`` are what threads ask for, ``read_sectors`` the 32-byte sectors that warps fetch for
    it, ``unique_read_sectors`` those of them that differ: the least that a cache of any size must fetch.

    Shared memory: an access of a warp takes ``shared_wavefronts``, one clock each; ``shared_ideal`` would do without
    bank conflicts.  Vectors of 8 and 16 bytes go by half and quarter warps; ``shared_merged`` is what remains where the
    hardware joins those that it can.
    """

    kernel: str = ""
    launches: int = 0
    blocks: int = 0
    threads: int = 0
    instructions: Counter[str] = field(default_factory=Counter)
    longest_thread: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    read_sectors: int = 0
    write_sectors: int = 0
    unique_read_sectors: int = 0
    unique_write_sectors: int = 0
    shared_wavefronts: int = 0
    shared_ideal: int = 0
    shared_merged: int = 0

    @property
    def total(self) -> int:
        """All dynamic instructions."""
        return sum(self.instructions.values())

    @property
    def fma_share(self) -> float:
        """The share of dynamic instructions that are float FMAs, 0 … 1."""
        return self.instructions["fma"] / self.total if self.total else 0.0

    @property
    def bank_conflicts(self) -> int:
        """Wavefronts of shared memory beyond the ideal."""
        return self.shared_wavefronts - self.shared_ideal

    def shared_to_fma(self, fma_lanes: int, *, merged: bool = False) -> float:
        """Clocks that shared memory takes for each clock of the FMAs on an SM that does ``fma_lanes`` of them a clock.

        Infinite where there are accesses and no FMAs.
        """
        wavefronts = self.shared_merged if merged else self.shared_wavefronts
        if not self.instructions["fma"]:
            return float("inf") if wavefronts else 0.0
        return wavefronts * fma_lanes / self.instructions["fma"]

    def __add__(self, other: Counts) -> Counts:
        """Both launches; the kernel's name stays if it is the same."""
        values = {
            name: getattr(self, name) + getattr(other, name)
            for name in self.__dataclass_fields__
            if name != "kernel"
        }
        return Counts(kernel=self.kernel if self.kernel == other.kernel else "", **values)
