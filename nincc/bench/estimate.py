"""What an artefact for a CPU that is not here costs: instructions of one emulated inference, and modelled loops.

Instruction counts are exact and repeatable, but they are not time: caches, memory and the pipeline are not in them.
llvm-mca's cycles are a model's, of the innermost loop with its data in L1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nincc.bench.mca import LoopCycles, loop_cycles
from nincc.bench.subject import read_subject
from nincc.emulate import NATIVE, device_of

if TYPE_CHECKING:
    from nincc.emulate.arm.count import KernelCount

CAVEAT = (
    "estimates, not timings: instructions of one emulated inference, one thread, and llvm-mca's cycles of each"
    " kernel's hottest loop with its data in L1"
)


@dataclass(frozen=True)
class LoopEstimate:
    """The kernel's hottest innermost loop: instructions a turn, their share of the kernel's, and llvm-mca's view.

    ``cycles`` and ``fma_limit_share`` are None where LLVM has no model of the core; the latter is the cycles that
    the loop's multiply-adds need at least, as a share of the cycles it takes.
    """

    instructions: int
    vector_fmas: int
    share: float
    cycles: float | None
    fma_limit_share: float | None


@dataclass(frozen=True)
class KernelEstimate:
    """One kernel; ``fma_share`` is NEON multiply-add instructions among all, bytes are those of its own loads."""

    layer: str
    op: str
    macs: int
    instructions: int
    vector_fmas: int
    fma_share: float
    load_bytes: int
    store_bytes: int
    loop: LoopEstimate | None


@dataclass(frozen=True)
class Estimate:
    """Every kernel in the order they run, the C driver last, and the whole."""

    artefact: str
    model: str
    target: str
    cpu: str
    batch: int
    macs: int
    instructions: int
    vector_fmas: int
    load_bytes: int
    store_bytes: int
    kernels: tuple[KernelEstimate, ...]
    caveat: str = CAVEAT

    @property
    def fma_share(self) -> float:
        return self.vector_fmas / self.instructions

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return {**asdict(self), "fma_share": self.fma_share}


def is_estimated(artefact: Path) -> bool:
    """Whether the artefact's CPU is not here, so that it can be counted but not timed."""
    return device_of(artefact) != NATIVE


def estimate(artefact: Path, seed: int = 0) -> Estimate:
    """Counts one inference on generated input.  DeviceError without unicorn."""
    from nincc.emulate.arm.count import count_inference  # an extra: what runs here is measured without it

    subject = read_subject(artefact, None, 1)
    manifest = subject.manifest
    counts = count_inference(artefact, manifest, subject.generated_inputs(seed))
    steps = {step["kernel"]: step for step in reversed(manifest["kernels"])}
    driver = {"layer": "driver", "op": "C driver", "macs": 0}
    kernels = tuple(_kernel(count, steps.get(count.kernel, driver), manifest["target"]) for count in counts)
    return Estimate(
        artefact=str(artefact),
        model=manifest["model"]["name"],
        target=manifest["target"]["name"],
        cpu=manifest["target"]["cpu"],
        batch=manifest["batch"],
        macs=manifest["macs"],
        instructions=sum(kernel.instructions for kernel in kernels),
        vector_fmas=sum(kernel.vector_fmas for kernel in kernels),
        load_bytes=sum(kernel.load_bytes for kernel in kernels),
        store_bytes=sum(kernel.store_bytes for kernel in kernels),
        kernels=kernels,
    )


def _kernel(count: KernelCount, step: Mapping[str, Any], target: Mapping[str, Any]) -> KernelEstimate:
    return KernelEstimate(
        layer=step["layer"] or step["op"],
        op=step["op"],
        macs=step["macs"],
        instructions=count.instructions,
        vector_fmas=count.vector_fmas,
        fma_share=count.vector_fmas / count.instructions if count.instructions else 0.0,
        load_bytes=count.load_bytes,
        store_bytes=count.store_bytes,
        loop=_loop(count, target),
    )


def _loop(count: KernelCount, target: Mapping[str, Any]) -> LoopEstimate | None:
    if count.loop is None:
        return None
    body = count.loop.instructions
    model: LoopCycles | None = loop_cycles(body, target["triple"], target["cpu"])
    fmas = sum(instruction.is_vector_fma for instruction in body)
    return LoopEstimate(
        instructions=len(body),
        vector_fmas=fmas,
        share=count.loop.executed / count.instructions,
        cycles=model.cycles if model else None,
        fma_limit_share=model.fma_share if model and fmas else None,
    )
