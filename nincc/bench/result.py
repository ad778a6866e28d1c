"""What ``nincc bench`` found, as plain data and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nincc.bench.peak import Peak
from nincc.bench.peers.base import OURS
from nincc.bench.statistics import Timing, ratio_of_medians


@dataclass(frozen=True)
class ProgramResult:
    """One timed program.  ``timing`` is None where it was not timed, and ``note`` then says why.

    ``difference`` is the largest distance of its outputs from ours, as a share of our largest output.
    ``import_s``, ``load_s`` and ``first_s`` are what importing its library, loading the net and the first inference
    took; ``peak_bytes`` what the process held at most over a Python process with numpy and the input;
    ``model_bytes`` the files it loads and ``library_bytes`` the native libraries it maps.
    """

    name: str
    version: str
    note: str | None = None
    timing: Timing | None = None
    difference: float | None = None
    import_s: float | None = None
    load_s: float | None = None
    first_s: float | None = None
    peak_bytes: int | None = None
    model_bytes: int | None = None
    library_bytes: int | None = None


@dataclass(frozen=True)
class Machine:
    """Where it ran: the CPU's own name, its cores, its widest shipped target, and the cores that others kept busy."""

    cpu: str
    cores: int
    native_target: str
    busy_cores: float


@dataclass(frozen=True)
class LayerResult:
    """One kernel: its median seconds, and the seconds its algorithm's multiplications take at the FMA peak.

    ``macs`` are those of the layer as the graph defines it; ``limit`` counts what the algorithm needs of them.
    """

    layer: str
    op: str
    algorithm: str
    macs: int
    seconds: float
    limit: float


@dataclass(frozen=True)
class BenchResult:
    """One artefact held against its peers.

    ``peak`` is of the artefact's target with as many cores as ``threads``; ``host_peak`` of the widest vectors
    this CPU has, which peers use, None where the artefact uses them too.  ``core_to_core`` are the least and the most
    seconds that two cores took to hand a cache line over and back while all was timed; None for one thread or core.
    """

    artefact: str
    model: str
    target: str
    batch: int
    macs: int
    threads: int
    machine: Machine
    peak: Peak
    host_peak: Peak | None
    programs: tuple[ProgramResult, ...]
    layers: tuple[LayerResult, ...] = ()
    core_to_core: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def apart(self) -> str:
        """``core_to_core`` in nanoseconds, as text: ``99 to 470``; empty where there is none."""
        return " to ".join(f"{second * 1e9:.0f}" for second in self.core_to_core or ())

    @property
    def ours(self) -> ProgramResult:
        return next(program for program in self.programs if program.name == OURS)

    @property
    def fastest_peer(self) -> ProgramResult | None:
        """The peer with the least median; None where no peer was timed."""
        timed = [(p.timing.median, p.name, p) for p in self.programs if p.timing and p.name != OURS]
        return min(timed)[2] if timed else None

    def ratio(self, program: ProgramResult) -> float | None:
        """Our median as a share of the program's; None where one of the two was not timed."""
        if self.ours.timing is None or program.timing is None:
            return None
        return ratio_of_medians(self.ours.timing, program.timing)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it; times in seconds, sizes in bytes."""
        data = asdict(self)
        data["direct_limit_s"] = self.peak.direct_limit(self.macs)
        for program, entry in zip(self.programs, data["programs"], strict=True):
            entry["ratio"] = self.ratio(program)
            if program.timing is not None:
                gflops = program.timing.gflops(self.macs)
                entry["timing"]["spread"] = program.timing.spread
                entry |= {"gflops": gflops, "share_of_peak": gflops / self.peak.gflops}
        return data
