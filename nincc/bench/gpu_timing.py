"""Times an artefact on this machine's GPU: by CUDA events on device memory, and by the clock from host memory."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nincc.bench.peers.base import OURS, Job
from nincc.bench.process import PeerFailure, WorkerProcess, save_arrays
from nincc.bench.statistics import Timing, summarise
from nincc.bench.subject import Subject, read_subject
from nincc.errors import DeviceError, UsageError
from nincc.progress import OnProgress


@dataclass(frozen=True)
class LaunchTime:
    """One launch's median seconds between two events, in a build that times each."""

    layer: str
    op: str
    macs: int
    seconds: float


@dataclass(frozen=True)
class GpuTiming:
    """``device`` times are between CUDA events, from device memory to device memory; ``host`` times are the clock's,
    from and to host memory.  ``load_s`` and ``first_s`` are what loading and the first inference took.
    """

    artefact: str
    model: str
    target: str
    gpu: str
    batch: int
    macs: int
    device: Timing
    host: Timing
    load_s: float
    first_s: float
    launches: tuple[LaunchTime, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it; times in seconds."""
        return {**asdict(self), "gflops": self.device.gflops(self.macs)}


def time_gpu(
    artefact: Path, model: Path | None, *, seconds: float, layers: bool, seed: int, tell: OnProgress
) -> GpuTiming:
    """Times the artefact for ``seconds`` each way; ``layers`` adds each launch, for which ``model`` is needed.

    Raises UsageError for wrong arguments and DeviceError where the GPU cannot run the artefact.
    """
    if layers and model is None:
        raise UsageError("the time of each kernel needs the ONNX model", hint="add --model M.onnx")
    subject = read_subject(artefact, model, 1)
    with tempfile.TemporaryDirectory(prefix="nincc-bench-") as work:
        tell("on the GPU", 0, 0)
        facts = _measured(subject, Path(work), seconds, seed)
    launches: tuple[LaunchTime, ...] = ()
    if layers:
        from nincc.bench.layers import profile_steps  # brings in the compiler

        tell("each kernel", 0, 0)
        times = profile_steps(subject, 1, seed)
        launches = tuple(
            LaunchTime(kernel["layer"] or kernel["op"], kernel["op"], kernel["macs"], time)
            for kernel, time in zip(subject.manifest["kernels"], times, strict=True)
        )
    manifest = subject.manifest
    return GpuTiming(
        str(artefact), manifest["model"]["name"], manifest["target"]["name"], batch=manifest["batch"],
        macs=manifest["macs"], launches=launches, **facts,
    )  # fmt: skip


def _measured(subject: Subject, folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """What a process of its own shows: a library that crashes must not take nincc with it."""
    data = folder / "inputs.npz"
    save_arrays(data, subject.generated_inputs(seed))
    worker = WorkerProcess(OURS, folder / "worker")
    try:
        job = Job((str(subject.artefact.resolve()),), 1, tuple(subject.inputs), tuple(subject.outputs))
        loaded = worker.ask("load", program=OURS, job=asdict(job), inputs=str(data))
        host = worker.ask("burst", seconds=seconds, least=5, warm=2)["seconds"]
        found = worker.ask("events", artefact=job.files[0], seconds=seconds, least=5)
    except PeerFailure as failure:
        raise DeviceError(failure.what, where=str(subject.artefact)) from failure
    finally:
        worker.close()
    return {
        "gpu": found["gpu"],
        "device": summarise(found["seconds"]),
        "host": summarise(host),
        "load_s": loaded["load_s"],
        "first_s": loaded["first_s"],
    }
