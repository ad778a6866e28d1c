"""OpenVINO's CPU plugin, reading the ONNX file itself, in float32, for the latency of one request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openvino

from nincc.bench.peers.base import Array, Job


def convert(model: Path, folder: Path) -> list[Path]:
    """Nothing to convert."""
    return [model]


class _Request:
    def __init__(self, job: Job, inputs: Sequence[Array]) -> None:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": job.threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = openvino.Core().compile_model(job.files[0], "CPU", settings)
        self._request = compiled.create_infer_request()
        self._names = job.outputs
        for name, array in zip(job.inputs, inputs, strict=True):
            self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def run(self) -> None:
        self._request.infer(share_outputs=True)

    def outputs(self) -> list[Array]:
        return [self._request.get_tensor(name).data.copy() for name in self._names]


def load(job: Job, inputs: Sequence[Array]) -> _Request:
    """A compiled model and a request whose input is the array itself, without a copy."""
    return _Request(job, inputs)
