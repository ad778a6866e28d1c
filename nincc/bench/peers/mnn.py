"""MNN, converted by its own converter, with ``precision high`` (float32 throughout)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import MNN
import numpy as np

from nincc.bench.peers.base import Array, Job


def convert(model: Path, folder: Path) -> list[Path]:
    """The model in MNN's format.

    The converter is called directly: the ``mnnconvert`` command would first install a logging package with pip
    and report each conversion to its maker over the network.
    """
    out = folder / "model.mnn"
    tools = importlib.import_module("_tools")  # MNN's extension module; importing MNN has loaded its engine
    tools.mnnconvert(
        ["mnnconvert", "-f", "ONNX", "--modelFile", str(model), "--MNNModel", str(out), "--bizCode", "bench"]
    )
    return [out]


class _Session:
    def __init__(self, job: Job, inputs: Sequence[Array]) -> None:
        self._net = MNN.Interpreter(job.files[0])
        settings = {"backend": "CPU", "numThread": job.threads, "precision": "high"}
        self._session = self._net.createSession(settings)
        self._inputs = [
            (self._net.getSessionInput(self._session, name), _host(array))
            for name, array in zip(job.inputs, inputs, strict=True)
        ]
        self._outputs = [self._bound(name) for name in job.outputs]

    def _bound(self, name: str) -> tuple[Any, Any]:
        """A session output and the host tensor that it is copied to."""
        tensor = self._net.getSessionOutput(self._session, name)
        return tensor, _host(np.zeros(tensor.getShape(), np.float32))

    def run(self) -> None:
        for tensor, host in self._inputs:
            tensor.copyFrom(host)
        self._net.runSession(self._session)
        for tensor, host in self._outputs:
            tensor.copyToHostTensor(host)

    def outputs(self) -> list[Array]:
        return [np.array(host.getNumpyData(), dtype=np.float32) for _, host in self._outputs]


def _host(array: Array) -> Any:
    """A tensor in host memory in NCHW order with the array's values."""
    return MNN.Tensor(array.shape, MNN.Halide_Type_Float, array, MNN.Tensor_DimensionType_Caffe)


def load(job: Job, inputs: Sequence[Array]) -> _Session:
    """A session whose host tensors are made once; each run copies them in and out."""
    return _Session(job, inputs)
