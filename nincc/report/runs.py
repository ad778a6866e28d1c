"""One run of an artefact: inputs from files, outputs to files and to the eye."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nincc.artefact import read_manifest
from nincc.errors import UsageError
from nincc.tensor import TensorSpec
from nincc.verify.inputs import read_inputs
from nincc.verify.isolated import IsolatedNet

Array = np.ndarray[Any, Any]


class Run:
    """An artefact to run: its manifest, inputs and outputs by name.

    It runs in a process of its own, so that a damaged library gives an error and no crash.  Raises
    UsageError for a folder that is no artefact or a wrong number of threads, DeviceError where this machine
    cannot run it.
    """

    def __init__(self, folder: Path, threads: int = 1, device: str | None = None) -> None:
        self.manifest = read_manifest(folder)
        most = self.manifest["threads"]
        if not 1 <= threads <= most:
            raise UsageError(
                f"--threads {threads} is out of range", where=str(folder), hint=f"it was compiled for 1 to {most}"
            )
        self._folder, self._threads, self._wanted = folder, threads, device
        self.device = device  # what it ran on, once it has
        self.inputs = _specs(self.manifest["inputs"])
        self.outputs = _specs(self.manifest["outputs"])

    def read(self, paths: Sequence[Path], resize: bool = False) -> tuple[Array, ...]:
        """The inputs in graph order, from one ``.npz`` file or a picture for each image of the batch."""
        if any(zipfile.is_zipfile(path) for path in paths) or any(path.suffix == ".npz" for path in paths):
            if len(paths) > 1:
                raise UsageError("one .npz file holds all inputs", where=str(paths[1]), hint="give one --input")
            return read_inputs(paths[0], self.inputs).arrays
        if len(self.inputs) > 1:
            raise UsageError(f"the net has {len(self.inputs)} inputs", hint="give them in an .npz file")
        from nincc.report.pictures import read_pictures

        return (read_pictures(paths, self.inputs[0], resize),)

    def __call__(self, arrays: tuple[Array, ...]) -> dict[str, Array]:
        """The outputs by name."""
        with IsolatedNet(self._folder, self._threads, self._wanted) as net:
            results = net(arrays)
            self.device = net.device
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}


def _specs(items: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(item["name"], tuple(item["shape"])) for item in items)


def write_outputs(path: Path, outputs: Mapping[str, Array]) -> Path:
    """Writes the outputs, by name, as ``.npz``; the file appears whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    try:
        with open(partial, "wb") as file:
            np.savez(file, allow_pickle=False, **dict(outputs))
        os.replace(partial, path)
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror}", where=str(path), hint="choose another --output") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def top_classes(outputs: Mapping[str, Array], count: int) -> list[dict[str, Any]]:
    """For each output, and each image where there is one number a class, the ``count`` highest classes."""
    return [
        {"name": name, "shape": list(array.shape), "top": [_highest(row, count) for row in _scores(array)]}
        for name, array in outputs.items()
    ]


def _scores(array: Array) -> Array:
    """[N, classes] of an output that has one number a class; no rows of any other."""
    if array.ndim < 2 or array.size != array.shape[0] * array.shape[1]:
        return np.empty((0, 0), np.float32)
    return array.reshape(array.shape[:2])


def _highest(row: Array, count: int) -> list[dict[str, Any]]:
    order = np.argsort(-row, kind="stable")[:count]
    return [{"class": int(index), "value": float(row[index])} for index in order]
