"""The compiled net, through the artefact's own Python file: the same way in as a user has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nincc.bench.peers.base import Array, Job
from nincc.runtime import load as load_artefact


def convert(model: Path, folder: Path) -> list[Path]:
    """``model`` is the artefact's folder; its shared library is all that is read."""
    return [model]


class _Compiled:
    def __init__(self, job: Job, inputs: Sequence[Array]) -> None:
        self._net = load_artefact(job.files[0], threads=job.threads)
        self._inputs = inputs
        self._last: Array | tuple[Array, ...] = ()

    def run(self) -> None:
        self._last = self._net(*self._inputs)

    def outputs(self) -> list[Array]:
        return list(self._last) if isinstance(self._last, tuple) else [self._last]

    def step_seconds(self) -> list[float]:
        """What each kernel of the last run took; a library built with its profile only."""
        return [float(second) for second in self._net.profile()]


def load(job: Job, inputs: Sequence[Array]) -> _Compiled:
    """A context of the net with ``job.threads`` threads."""
    return _Compiled(job, inputs)
