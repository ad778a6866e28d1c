"""What a timed program must offer, and which peers there are.  Imports none of them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
OURS = "nincc"


@dataclass(frozen=True)
class Job:
    """One program to load: ``files`` are what :func:`convert` of its module made (or the artefact's folder).

    ``shapes`` and ``outputs`` are in graph order, as the ONNX graph or the artefact names them.
    """

    files: tuple[str, ...]
    threads: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Runner(Protocol):
    """A loaded program, its inputs bound to it.

    ``run`` does one inference from arrays in host memory to arrays in host memory: that is what is timed.
    ``outputs`` gives the last run's outputs in graph order.
    """

    def run(self) -> None: ...

    def outputs(self) -> list[Array]: ...


class PeerModule(Protocol):
    """A module of ``nincc.bench.peers``: how to make the peer's files and how to load them."""

    def convert(self, model: Path, folder: Path) -> Sequence[Path]: ...

    def load(self, job: Job, inputs: Sequence[Array]) -> Runner: ...


@dataclass(frozen=True)
class Peer:
    """A peer: the packages it is imported from and how to get them."""

    name: str
    packages: tuple[str, ...]
    install: str

    def missing(self) -> str | None:
        """The first of its packages that is not installed, None where all are."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                return package
        return None


PEERS = {
    peer.name: peer
    for peer in (
        Peer("onnxruntime", ("onnxruntime",), "pip install onnxruntime"),
        Peer("openvino", ("openvino",), "pip install 'nincc[bench]'"),
        # pnnx turns ONNX into ncnn's format.  Its wheel asks for PyTorch, which its program does not use.
        Peer("ncnn", ("ncnn", "pnnx"), "pip install 'nincc[bench]' && pip install --no-deps pnnx"),
        Peer("mnn", ("MNN",), "pip install 'nincc[bench]'"),
    )
}


def peer_module(name: str) -> Any:
    """The module that converts for and loads the peer ``name`` or ours (a PeerModule)."""
    module = "ours" if name == OURS else name
    return importlib.import_module(f"nincc.bench.peers.{module}")
