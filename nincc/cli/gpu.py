"""``nincc bench`` on an artefact for a GPU: timed where one is here, counted and estimated where none is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nincc.cli.common import progress, show, table
from nincc.errors import UsageError

if TYPE_CHECKING:
    from nincc.bench.gpu_estimate import GpuEstimate, LaunchEstimate
    from nincc.bench.gpu_timing import GpuTiming
    from nincc.bench.statistics import Timing

COUNTED = (
    "layers", "blocks", "threads", "instructions", "FMA", "longest", "shared/FMA", "conflicts", "from L2", "memory",
    "× least", "written", "× least", "registers", "spilled", "occupancy", "us", "bound by",
)  # fmt: skip


def bench_gpu(artefact: Path, given: dict[str, Any], as_json: bool) -> None:
    """Times or counts, and shows it.  ``given`` are the command's options."""
    from nincc.emulate.cuda.session import needs_emulation

    if given["against"] or given["plot"] is not None:
        option = "against" if given["against"] else "plot"
        raise UsageError(f"--{option} compares programs on a CPU, this artefact is for a GPU", where=str(artefact))
    if needs_emulation(artefact):
        _estimate(artefact, given, as_json)
    else:
        _time(artefact, given, as_json)


def _estimate(artefact: Path, given: dict[str, Any], as_json: bool) -> None:
    from nincc.bench.gpu_estimate import estimate_gpu

    for option in ("layers", "model"):
        if given[option]:
            raise UsageError(f"--{option} is for timing, and no GPU is here", where=str(artefact))
    with progress("bench") as tell:
        result = estimate_gpu(artefact, given["seed"], tell)
    show(result.to_dict(), as_json, lambda: estimate_text(result))


def _time(artefact: Path, given: dict[str, Any], as_json: bool) -> None:
    from nincc.bench.gpu_timing import time_gpu

    model = None if given["model"] is None else Path(given["model"])
    seconds = given["rounds"] * given["seconds"]
    with progress("bench") as tell:
        result = time_gpu(artefact, model, seconds=seconds, layers=given["layers"], seed=given["seed"], tell=tell)
    show(result.to_dict(), as_json, lambda: timing_text(result))


def estimate_text(result: GpuEstimate) -> str:
    """A row a launch, the whole below, and what the figures are."""
    rows = [_row(launch) for launch in result.launches]
    rows.append(_total_row(result))
    parts = [
        f"{result.model}, batch {result.batch}, {result.target}: {len(result.launches)} launches,"
        f" {result.macs:,} MACs, on {result.card} about {result.total('seconds') * 1e6:.1f} us",
        table(rows, COUNTED, right=range(1, len(COUNTED) - 1)),
        result.caveat,
    ]
    if not result.in_l2:
        parts.append("L2 cannot hold all that a launch touches: memory gives more than the different sectors")
    return "\n\n".join(parts)


def _row(launch: LaunchEstimate) -> tuple[str, ...]:
    resources = (launch.registers, launch.spill_bytes)
    return (
        launch.layer,
        str(launch.blocks),
        str(launch.threads),
        f"{launch.instructions:,}",
        f"{launch.fma_share:.1%}",
        f"{launch.longest_thread:,}",
        "-" if launch.shared_to_fma is None else f"{launch.shared_to_fma:.2f}",
        str(launch.bank_conflicts),
        *_sectors(launch.l2_sectors, launch.read_sectors, launch.read_ratio),
        f"{launch.written_sectors:,}",
        f"{launch.written_ratio:.2f}",
        *("-" if value is None else str(value) for value in resources),
        "-" if launch.occupancy is None else f"{launch.occupancy:.0%}",
        f"{launch.seconds * 1e6:.1f}",
        launch.bound,
    )


def _total_row(result: GpuEstimate) -> tuple[str, ...]:
    total = result.total
    return (
        "all", "", "", f"{total('instructions'):,}", f"{result.fma_share:.1%}", f"{total('longest_thread'):,}", "",
        str(total("bank_conflicts")),
        *_sectors(total("l2_sectors"), total("read_sectors"), total("read_sectors") / max(1, total("least_read"))),
        f"{total('written_sectors'):,}", f"{total('written_sectors') / max(1, total('least_written')):.2f}",
        "", "", "", f"{total('seconds') * 1e6:.1f}", "",
    )  # fmt: skip


def _sectors(from_l2: int, from_memory: int, ratio: float) -> tuple[str, str, str]:
    return f"{from_l2:,}", f"{from_memory:,}", f"{ratio:.2f}"


def timing_text(result: GpuTiming) -> str:
    """Both ways of timing, and each launch if it was timed."""
    header = ("from", "median ms", "min", "p10", "p90", "GFLOPS")
    ways = (("device memory", result.device), ("host memory", result.host))
    rows = [_timing_row(name, timing, result.macs) for name, timing in ways]
    parts = [
        f"{result.model}, batch {result.batch}, {result.target}, on {result.gpu}",
        table(rows, header, right=range(1, 6)),
        f"device memory: by CUDA events; host memory: by the clock, both copies included; loading took"
        f" {result.load_s * 1e3:.0f} ms, the first inference {result.first_s * 1e3:.1f} ms",
    ]
    if result.launches:
        parts.append(_launches(result))
    return "\n\n".join(parts)


def _timing_row(name: str, timing: Timing, macs: int) -> tuple[str, ...]:
    times = (timing.median, timing.minimum, timing.p10, timing.p90)
    return (name, *(f"{second * 1e3:.4f}" for second in times), f"{timing.gflops(macs):.0f}")


def _launches(result: GpuTiming) -> str:
    total = sum(launch.seconds for launch in result.launches)
    rows = [
        (launch.layer, launch.op.removeprefix("nincc."), f"{launch.macs:,}", f"{launch.seconds * 1e6:.1f}",
         f"{launch.seconds / total:.0%}", f"{2e-9 * launch.macs / launch.seconds:.0f}")
        for launch in result.launches
    ]  # fmt: skip
    rows.append(("all", "", f"{result.macs:,}", f"{total * 1e6:.1f}", "100%", f"{2e-9 * result.macs / total:.0f}"))
    return table(rows, ("layers", "kernel", "MACs", "median us", "share", "GFLOPS"), right=range(2, 6))
