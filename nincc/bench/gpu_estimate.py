"""What an artefact for a GPU that is not here costs: one inference's launches, counted by the PTX interpreter.

Counts are exact: every block runs.  Times are a roofline's on the target's reference card, and no timings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nincc.bench.subject import Subject, read_subject
from nincc.emulate.cuda.count import count_launches
from nincc.emulate.cuda.gpu import Launched
from nincc.emulate.cuda.session import gpu_target_of
from nincc.emulate.ptx.estimate import estimate_launch
from nincc.errors import UsageError
from nincc.gpu_target import SECTOR, GpuTarget, fma_lanes
from nincc.progress import OnProgress

CAVEAT = (
    "estimates, not timings: instructions and 32-byte sectors of one interpreted inference; 'from L2' are the sectors"
    " that warps fetch, 'memory' those that differ, '× least' their share of the launch's inputs, weights and biases"
    " (or its outputs), each once, partial sums taken as one map; us are a roofline's"
)

SUMMED = (
    "instructions", "longest_thread", "bank_conflicts", "l2_sectors", "read_sectors", "least_read", "written_sectors",
    "least_written", "seconds",
)  # fmt: skip
"""Fields whose sums over the launches say something of the net."""



@dataclass(frozen=True)
class LaunchEstimate:
    """One launch.

    ``longest_thread`` are the instructions of its busiest thread; ``shared_to_fma`` clocks of shared memory to each
    of the FMAs, None where there are none.  ``l2_sectors`` are what warps fetch of global memory; ``read_sectors``
    and ``written_sectors`` the different ones, ``least_read`` and ``least_written`` what they must be at least.
    ``registers``, ``spill_bytes`` and ``occupancy`` are ptxas', None where there was none.  ``seconds`` are the
    longest of ``parts``, ``bound`` that part's name.
    """

    kernel: str
    layer: str
    op: str
    macs: int
    blocks: int
    threads: int
    instructions: int
    by_class: dict[str, int]
    fma_share: float
    longest_thread: int
    shared_to_fma: float | None
    bank_conflicts: int
    l2_sectors: int
    read_sectors: int
    least_read: int
    written_sectors: int
    least_written: int
    registers: int | None
    spill_bytes: int | None
    occupancy: float | None
    seconds: float
    bound: str
    parts: dict[str, float]

    @property
    def read_ratio(self) -> float:
        """Sectors from memory to the least there can be."""
        return self.read_sectors / max(self.least_read, 1)

    @property
    def written_ratio(self) -> float:
        """Sectors to memory to the least there can be."""
        return self.written_sectors / max(self.least_written, 1)


@dataclass(frozen=True)
class GpuEstimate:
    """Every launch in order, and the whole.  ``in_l2``: whether L2 holds all that any of the launches touches."""

    artefact: str
    model: str
    target: str
    card: str
    batch: int
    macs: int
    in_l2: bool
    launches: tuple[LaunchEstimate, ...]
    caveat: str = CAVEAT

    def total(self, name: str) -> Any:
        """The sum of a field of all launches."""
        return sum(getattr(launch, name) for launch in self.launches)

    @property
    def fma_share(self) -> float:
        """The share of all instructions that are multiply-adds."""
        fmas = sum(launch.by_class.get("fma", 0) for launch in self.launches)
        return fmas / max(1, int(self.total("instructions")))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        total = {name: self.total(name) for name in SUMMED}
        data = {**asdict(self), "fma_share": self.fma_share, "total": total}
        for launch, entry in zip(self.launches, data["launches"], strict=True):
            entry |= {"read_ratio": launch.read_ratio, "written_ratio": launch.written_ratio}
        return data


def estimate_gpu(artefact: Path, seed: int, tell: OnProgress) -> GpuEstimate:
    """Counts one inference on generated input.

    VerificationError where the interpreter objects to a kernel, UsageError for an artefact of an older nincc.
    """
    subject, target = read_subject(artefact, None, 1), gpu_target_of(artefact)
    kernels = subject.manifest["kernels"]
    if target is None or not all("least_traffic" in kernel for kernel in kernels):
        raise UsageError("is of another nincc", where=str(artefact), hint="compile it again")
    launches = _estimates(kernels, _count(subject, seed, tell), target)
    return GpuEstimate(
        artefact=str(artefact),
        model=subject.manifest["model"]["name"],
        target=subject.manifest["target"]["name"],
        card=target.card,
        batch=subject.manifest["batch"],
        macs=subject.manifest["macs"],
        in_l2=all((one.read_sectors + one.written_sectors) * SECTOR <= target.l2 for one in launches),
        launches=launches,
    )


def _count(subject: Subject, seed: int, tell: OnProgress) -> list[Launched]:
    kernels = subject.manifest["kernels"]
    done = 0

    def next_one(_: Launched | None = None) -> None:
        nonlocal done
        doing = kernels[done]["layer"] or kernels[done]["op"] if done < len(kernels) else "end"
        tell(f"interpret {doing}", done, len(kernels))
        done += 1

    next_one()
    return count_launches(subject.artefact, subject.generated_inputs(seed), next_one)


def _estimates(
    kernels: Sequence[Mapping[str, Any]], launched: Sequence[Launched], target: GpuTarget
) -> tuple[LaunchEstimate, ...]:
    return tuple(_estimate(kernel, one, target) for kernel, one in zip(kernels, launched, strict=True))


def _estimate(kernel: Mapping[str, Any], launched: Launched, target: GpuTarget) -> LaunchEstimate:
    counts, resources = launched.counts, kernel["resources"] or {}
    time = estimate_launch(counts, target)
    return LaunchEstimate(
        kernel=kernel["kernel"],
        layer=kernel["layer"] or kernel["op"],
        op=kernel["op"],
        macs=kernel["macs"],
        blocks=counts.blocks,
        threads=counts.threads // counts.blocks,
        instructions=counts.total,
        by_class=dict(counts.instructions),
        fma_share=counts.fma_share,
        longest_thread=counts.longest_thread,
        shared_to_fma=counts.shared_to_fma(fma_lanes(target.sm)) if counts.instructions["fma"] else None,
        bank_conflicts=counts.bank_conflicts,
        l2_sectors=counts.read_sectors,
        read_sectors=counts.unique_read_sectors,
        least_read=kernel["least_traffic"]["read_sectors"],
        written_sectors=counts.unique_write_sectors,
        least_written=kernel["least_traffic"]["write_sectors"],
        registers=resources.get("registers"),
        spill_bytes=resources.get("spill_bytes"),
        occupancy=resources.get("occupancy"),
        seconds=time.seconds,
        bound=time.bound,
        parts=time.parts,
    )
