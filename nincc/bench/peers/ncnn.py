"""ncnn, converted by pnnx, with float32 storage and arithmetic.  ncnn takes one image at a time."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Sequence
from pathlib import Path

import ncnn
import numpy as np

from nincc.bench.peers.base import Array, Job


def convert(model: Path, folder: Path) -> list[Path]:
    """The model in ncnn's format, weights kept in float32.

    Runs the program inside pnnx's package, whose Python side would import PyTorch.
    """
    spec = importlib.util.find_spec("pnnx")
    assert spec is not None and spec.origin is not None
    param, weights = folder / "model.param", folder / "model.bin"
    leftovers = [f"{key}={folder / key}" for key in ("pnnxparam", "pnnxbin", "pnnxpy", "pnnxonnx", "ncnnpy")]
    command = [str(Path(spec.origin).parent / "pnnx"), str(model), *leftovers]
    subprocess.run([*command, f"ncnnparam={param}", f"ncnnbin={weights}", "fp16=0"], cwd=folder, check=True)
    return [param, weights]


class _Net:
    def __init__(self, job: Job, inputs: Sequence[Array]) -> None:
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = job.threads
        for setting in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(options, f"use_{setting}", False)
        if self._net.load_param(job.files[0]) or self._net.load_model(job.files[1]):
            raise RuntimeError("ncnn cannot read the converted model")
        self._images = [[ncnn.Mat(image) for image in images] for images in zip(*inputs, strict=True)]
        self._count = len(job.outputs)
        self._last: list[list[Array]] = []

    def run(self) -> None:
        self._last = [self._one(image) for image in self._images]

    def _one(self, mats: Sequence[object]) -> list[Array]:
        extractor = self._net.create_extractor()
        for index, mat in enumerate(mats):
            extractor.input(f"in{index}", mat)
        results = [extractor.extract(f"out{index}") for index in range(self._count)]
        if any(status for status, _ in results):
            raise RuntimeError("ncnn cannot run the converted model")
        return [np.array(mat) for _, mat in results]

    def outputs(self) -> list[Array]:
        return [np.stack(images) for images in zip(*self._last, strict=True)]


def load(job: Job, inputs: Sequence[Array]) -> _Net:
    """A net and its images; a batch is run image by image, for ncnn has no batch dimension."""
    return _Net(job, inputs)
