"""One program in the ring: converted, loaded, held against our outputs, timed in bursts."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np

from nincc.bench.peers.base import OURS, PEERS, Array, Job
from nincc.bench.process import PeerFailure, WorkerProcess
from nincc.bench.result import ProgramResult
from nincc.bench.statistics import summarise
from nincc.errors import InternalError

#: A peer in float32 is off by 1e-6 of the largest output or less, its Winograd by up to 1e-5; one in
#: float16 or with a wrong pool by 1e-3 or more.
LARGEST_DIFFERENCE = 1e-4
WARM = 2


class Contestant:
    """A program's process and what it has shown so far."""

    def __init__(self, name: str, folder: Path) -> None:
        """``folder`` is the program's own, made when it starts."""
        self.name = name
        self._folder = folder
        self._worker: WorkerProcess | None = None
        self._request: dict[str, Any] = {}
        self._loads: list[dict[str, Any]] = []
        self._seconds: list[float] = []
        self._facts: dict[str, Any] = {}

    @property
    def worker(self) -> WorkerProcess:
        if self._worker is None:
            raise InternalError(f"{self.name} was not started")
        return self._worker

    def start(self, source: Path, threads: int, inputs: Sequence[str], outputs: Sequence[str], data: Path) -> None:
        """Converts ``source`` (ours: the artefact's folder) in a process of its own and loads it in another.

        ``data`` holds the inputs as an .npz.  Raises PeerFailure.
        """
        files = self._convert(source)
        job = Job(tuple(files), threads, tuple(inputs), tuple(outputs))
        self._request = {"program": self.name, "job": asdict(job), "inputs": str(data)}
        self._facts["model_bytes"] = 0 if self.name == OURS else sum(Path(file).stat().st_size for file in files)
        self.restart()

    def restart(self) -> None:
        """Loads the converted model in a new process, which gets other pages of memory; timings go on."""
        self.close()
        self._worker = WorkerProcess(self.name, self._folder)
        self._loads.append(self._worker.ask("load", **self._request))

    def _convert(self, source: Path) -> list[str]:
        if self.name == OURS:
            return [str(source)]
        converter = WorkerProcess(self.name, self._folder)
        try:
            request = {"program": self.name, "model": str(source), "folder": str(self._folder.resolve())}
            files: list[str] = converter.ask("convert", **request)["files"]
            return files
        finally:
            converter.close()

    def compare(self, reference: Sequence[Array]) -> None:
        """Holds the outputs against ours; PeerFailure where they are not the same numbers."""
        found = self.worker.outputs()
        self._facts["difference"] = difference = largest_difference(found, reference)
        if not difference <= LARGEST_DIFFERENCE:
            limit = f"at most {LARGEST_DIFFERENCE:g} is rounding"
            raise PeerFailure(f"its outputs differ from ours by {difference:.1e} of the largest ({limit})")

    def burst(self, seconds: float, *, count: bool = True) -> None:
        """A few untimed inferences, then timed ones for ``seconds``; ``count=False`` only warms up."""
        times = self.worker.ask("burst", seconds=seconds, least=3, warm=WARM)["seconds"]
        if count:
            self._seconds += times

    def result(self) -> ProgramResult:
        """What the timed program showed."""
        return ProgramResult(
            name=self.name,
            version=program_version(self.name),
            timing=summarise(self._seconds),
            peak_bytes=self.worker.ask("memory")["peak_bytes"],
            **{fact: median_low(load[fact] for load in self._loads) for fact in self._loads[0]},
            **self._facts,
        )

    def failure(self, why: str) -> ProgramResult:
        """The program as one that was not timed."""
        return ProgramResult(self.name, program_version(self.name), note=why, difference=self._facts.get("difference"))

    def close(self) -> None:
        """Ends the program's process, if it has one."""
        if self._worker is not None:
            self._worker.close()


def largest_difference(found: Sequence[Array], reference: Sequence[Array]) -> float:
    """The largest |found − reference| over the outputs, each as a share of that output's largest |reference|.

    Infinite where the numbers of outputs or elements differ or a value is not finite.  ``reference`` may have more
    outputs (--keep-maps).
    """
    if len(found) > len(reference):
        return float("inf")
    shares = [_share(np.asarray(a, np.float64), b) for a, b in zip(found, reference, strict=False)]
    return max(shares, default=float("inf"))


def _share(found: np.ndarray[Any, Any], reference: Array) -> float:
    if found.size != reference.size or not (np.isfinite(found).all() and np.isfinite(reference).all()):
        return float("inf")
    error = float(np.abs(found.reshape(reference.shape) - reference).max(initial=0.0))
    largest = float(np.abs(reference).max(initial=0.0))
    return error / largest if largest else error


def program_version(name: str) -> str:
    """The installed version of a peer's package or of nincc, ``?`` where there is none."""
    try:
        return importlib.metadata.version(OURS if name == OURS else PEERS[name].packages[0])
    except importlib.metadata.PackageNotFoundError:
        return "?"
