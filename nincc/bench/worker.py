"""The process that holds one timed program: ``python -m nincc.bench.worker``, driven by its standard input.

A request is one line of JSON, ``{"do": NAME, …}``; the answer is one line of JSON on what was standard output, with
``"error"`` in it when the request failed.  What the program's library prints goes to standard error.

| request | answer |
|---|---|
| convert: program, model, folder | files |
| load: program, job, inputs (an .npz) | import_s, load_s, first_s, library_bytes |
| run: out (an .npz) | – |
| burst: seconds, least, warm | seconds of each inference |
| profile: seconds, least | steps: the seconds of each kernel, a list an inference (ours, built with its profile) |
| events: artefact, seconds, least | gpu, seconds: of each inference by CUDA events |
| memory | peak_bytes over what the process held before the library was imported |
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from nincc.bench import memory
from nincc.bench.peers.base import Array, Job, Runner, peer_module

_PR_SET_PDEATHSIG = 1
_MOST_IN_A_BURST = 1000


class Worker:
    """The state of a worker: the loaded program and the memory it started from."""

    def __init__(self) -> None:
        self._runner: Runner | None = None
        self._inputs: list[Array] = []  # held here, for some programs keep the bare address only
        self._baseline = 0

    @property
    def runner(self) -> Runner:
        if self._runner is None:
            raise RuntimeError("nothing is loaded yet")
        return self._runner

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Does one request; raises whatever the program's library raises."""
        arguments = {key: value for key, value in request.items() if key != "do"}
        handlers: dict[str, Callable[..., dict[str, Any]]] = {
            "convert": self.convert,
            "load": self.load,
            "run": self.run,
            "burst": self.burst,
            "profile": self.profile,
            "events": self.events,
            "memory": self.memory,
        }
        return handlers[request["do"]](**arguments)

    def convert(self, program: str, model: str, folder: str) -> dict[str, Any]:
        files = [str(path) for path in peer_module(program).convert(Path(model), Path(folder))]
        missing = [path for path in files if not Path(path).is_file()]
        if missing:
            raise RuntimeError(f"the converter wrote no {missing[0]}")
        return {"files": files}

    def load(self, program: str, job: dict[str, Any], inputs: str) -> dict[str, Any]:
        self._inputs = _read(inputs)
        libraries = memory.mapped_libraries()
        memory.forget_peak()
        self._baseline = memory.resident_bytes()
        start = perf_counter()
        module = peer_module(program)
        imported = perf_counter()
        self._runner = module.load(Job(**job), self._inputs)
        loaded = perf_counter()
        self.runner.run()
        return {
            "import_s": imported - start,
            "load_s": loaded - imported,
            "first_s": perf_counter() - loaded,
            "library_bytes": memory.total_bytes(memory.mapped_libraries() - libraries),
        }

    def run(self, out: str) -> dict[str, Any]:
        self.runner.run()
        np.savez(out, *self.runner.outputs())
        return {}

    def burst(self, seconds: float, least: int, warm: int) -> dict[str, Any]:
        """``warm`` untimed inferences, then timed ones for ``seconds``, at least ``least``."""
        run = self.runner.run
        times: list[float] = []
        for _ in range(warm):
            run()
        end = perf_counter() + seconds
        while len(times) < least or (perf_counter() < end and len(times) < _MOST_IN_A_BURST):
            start = perf_counter()
            run()
            times.append(perf_counter() - start)
        return {"seconds": times}

    def profile(self, seconds: float, least: int) -> dict[str, Any]:
        runner: Any = self.runner
        steps: list[list[float]] = []
        end = perf_counter() + seconds
        while len(steps) < least or (perf_counter() < end and len(steps) < _MOST_IN_A_BURST):
            runner.run()
            steps.append(runner.step_seconds())
        return {"steps": steps}

    def events(self, artefact: str, seconds: float, least: int) -> dict[str, Any]:
        from nincc.bench.events import event_seconds

        gpu, times = event_seconds(Path(artefact), self._inputs, seconds, least)
        return {"gpu": gpu, "seconds": times}

    def memory(self) -> dict[str, Any]:
        return {"peak_bytes": memory.peak_resident_bytes() - self._baseline}


def _read(path: str) -> list[Array]:
    """The arrays of an .npz in the order they were saved in, 64-byte aligned and contiguous."""
    with np.load(path) as stored:
        return [_aligned(stored[name]) for name in stored.files]


def _aligned(array: Array) -> Array:
    block = np.empty(array.nbytes + 64, np.uint8)
    skip = -block.ctypes.data % 64
    out = block[skip : skip + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def _private_stdout() -> int:
    """Takes standard output for the answers and sends everything else that prints to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def main() -> None:
    """Serves requests until standard input ends.  Dies with its parent, also while it is stopped."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when a worker ends
    worker = Worker()
    with os.fdopen(_private_stdout(), "w", buffering=1) as answers:
        for line in sys.stdin:
            try:
                reply = worker.answer(json.loads(line))
            except Exception as error:  # whatever a peer raises is the peer's failure, told as such
                reply = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
