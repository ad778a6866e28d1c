"""How candidates are run: how many at once, and what of the runner a worker must know."""

from __future__ import annotations

import os
from queue import SimpleQueue
from typing import Any

from nincc.emulate.device import QEMU_PROGRAMS
from nincc.errors import DeviceError, UsageError
from nincc.gpu_driver import first_gpu, has_gpu
from nincc.gpu_target import GpuTarget
from nincc.records.format import CRASHED
from nincc.target import AnyTarget, missing_features
from nincc.tune.options import RUNNERS, TuneOptions
from nincc.tune.process import Outcome, Worker

ATTEMPTS = 3
"""Boards that a candidate may lose before it counts as what crashed them."""


def check_runner(options: TuneOptions, target: AnyTarget) -> None:
    """UsageError or DeviceError where the runner cannot serve the target: said before any work."""
    if options.runner not in RUNNERS:
        raise UsageError(f"runner '{options.runner}' is unknown", hint="runners: " + ", ".join(RUNNERS))
    rpc = options.runner == "rpc"
    if rpc != bool(options.tracker) or rpc != bool(options.key):
        needs = "the rpc runner needs --tracker HOST:PORT and --key K"
        raise UsageError(needs if rpc else "--tracker and --key are for --runner rpc")
    if isinstance(target, GpuTarget):
        return _check_gpu(options, target)
    emulated = target.architecture in QEMU_PROGRAMS
    if options.runner == "static" and not emulated:
        raise UsageError(f"the static runner models ARM and GPUs, not {target.name}", hint="use --runner local or rpc")
    if rpc and target.architecture == "armv7l":
        raise UsageError(f"TVM's RPC server does not exist for {target.name}", hint="use --runner static")
    missing = missing_features(target) if options.runner == "local" else []
    if missing:
        other = "--runner static or rpc" if emulated else "--runner rpc"
        raise DeviceError(f"this machine cannot run {target.name}: no {missing[0]}", hint=f"use {other}")


def _check_gpu(options: TuneOptions, target: GpuTarget) -> None:
    """This machine's GPU must be able to run the target's code."""
    if options.runner == "rpc":
        hint = "use --runner local where the GPU is, or static"
        raise UsageError(f"TVM's RPC server has no CUDA for {target.name}", hint=hint)
    if options.runner == "local":
        if not has_gpu():
            raise DeviceError(f"no GPU is here to time {target.name} on", hint="use --runner static")
        gpu = first_gpu()
        found = gpu.capability()
        if found < target.capability:
            has = f"{gpu.name()} has compute capability {found[0]}.{found[1]}"
            raise DeviceError(f"{has}, which cannot run {target.name}", hint="use --runner static")


def parallel(options: TuneOptions, target: AnyTarget) -> int:
    """How many trials may go on at once: one where each is timed here, a board's each, a core's each.

    Of a GPU's, as many as cores can build; the GPU takes them one by one.
    """
    if options.runner == "static" or (options.runner == "local" and isinstance(target, GpuTarget)):
        return max(1, len(os.sched_getaffinity(0)))
    if options.runner == "local":
        return 1
    from nincc.tune.run_rpc import boards

    return max(1, boards(options.tracker, options.key))


class Pool:
    """The workers of one tuning.  ``measure`` may be called from as many threads as there are workers."""

    def __init__(self, options: TuneOptions, size: int) -> None:
        self._options = options
        self._workers = [Worker(options.worker) for _ in range(size)]
        self._free: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)

    def measure(self, request: dict[str, Any]) -> Outcome:
        """One trial.  A board that drops out is replaced by another; DeviceError where there is none left, or the GPU
        takes none.
        """
        options = self._options
        runner = {"kind": options.runner, "tracker": options.tracker, "key": options.key}
        runner["timeout"] = str(options.timeout)
        worker = self._free.get()
        try:
            for _ in range(ATTEMPTS):
                outcome = worker.trial({**request, "runner": runner, "seed": options.seed}, options.timeout)
                if not outcome.lost:
                    return outcome
            if options.runner == "local":
                raise DeviceError(f"the GPU takes no trial: {outcome.text}")
            if outcome.error != CRASHED:
                raise DeviceError(f"no board of key '{options.key}' answers", where=options.tracker)
            return outcome
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """Ends every worker, whatever it does."""
        for worker in self._workers:
            worker.close()
