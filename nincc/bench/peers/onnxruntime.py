"""ONNX Runtime's CPU provider, reading the ONNX file itself.

Its threads may spin between two inferences of a burst, as they do by default; while another program is timed the
whole process is stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from nincc.bench.peers.base import Array, Job


def convert(model: Path, folder: Path) -> list[Path]:
    """Nothing to convert."""
    return [model]


class _Session:
    def __init__(self, job: Job, inputs: Sequence[Array]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(job.files[0], options, providers=["CPUExecutionProvider"])
        self._feed = dict(zip(job.inputs, inputs, strict=True))
        self._names = list(job.outputs)
        self._last: list[Any] = []

    def run(self) -> None:
        self._last = self._session.run(self._names, self._feed)

    def outputs(self) -> list[Array]:
        return self._last


def load(job: Job, inputs: Sequence[Array]) -> _Session:
    """A session with ``job.threads`` threads within an operator and one operator at a time."""
    return _Session(job, inputs)
