"""What is timed: the artefact, the model it was compiled from, and one generated input for all programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from nincc.artefact import read_manifest
from nincc.bench.peers.base import Array
from nincc.errors import UsageError
from nincc.frontend import load_model
from nincc.target import Target, cpu_target, load_target, target_names


@dataclass(frozen=True)
class Subject:
    """An artefact, and the ONNX file for peers to read with its outputs' names (None: there are no peers)."""

    artefact: Path
    manifest: dict[str, Any]
    model: Path | None
    model_outputs: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the graph's inputs by name, in graph order."""
        return {spec["name"]: tuple(spec["shape"]) for spec in self.manifest["inputs"]}

    @property
    def outputs(self) -> list[str]:
        """Names of the artefact's outputs; with --keep-maps the last is not one of the model's."""
        return [spec["name"] for spec in self.manifest["outputs"]]

    @property
    def target(self) -> Target:
        """The shipped target that the artefact was compiled for, or the widest one that its own TOML file includes.

        Raises UsageError for a GPU's.
        """
        name, required = self.manifest["target"]["name"], set(self.manifest["target"]["requires"])
        if name in target_names():
            return cpu_target(name)
        architecture = self.manifest["target"]["triple"].split("-")[0]
        shipped = [target for target in map(load_target, target_names()) if isinstance(target, Target)]
        included = [t for t in shipped if t.architecture == architecture and set(t.requires) <= required]
        if not included:
            raise UsageError(f"target '{name}' includes no shipped target", hint="compile it for one of those")
        return max(included, key=lambda target: target.lanes)

    def generated_inputs(self, seed: int) -> list[Array]:
        """Standard normal values, in graph order; the same seed gives the same ones."""
        generator = np.random.default_rng(seed)
        return [generator.standard_normal(shape, dtype=np.float32) for shape in self.inputs.values()]


def read_subject(artefact: Path, model: Path | None, threads: int) -> Subject:
    """Reads the artefact; UsageError where ``model`` is not what it was compiled from or threads are too many."""
    manifest = read_manifest(artefact)
    if not 1 <= threads <= manifest["threads"]:
        raise UsageError(
            f"{threads} threads, but the artefact was compiled for 1 to {manifest['threads']}",
            where=str(artefact),
            hint=f"compile it with --threads {threads}" if threads > 0 else "give --threads 1 or more",
        )
    if model is None:
        return Subject(artefact, manifest, None)
    graph = load_model(model)  # its hash and names do not depend on the batch
    if graph.sha256 != manifest["model"]["sha256"]:
        raise UsageError(
            f"is not the model that {artefact} was compiled from", where=str(model), hint="compile it again"
        )
    return Subject(artefact, manifest, model, tuple(spec.name for spec in graph.outputs))


def file_for_peers(subject: Subject, folder: Path) -> Path:
    """The model's file, or where its batch is dynamic a copy in ``folder`` with the artefact's shapes."""
    assert subject.model is not None
    proto = onnx.load(subject.model, load_external_data=False)
    if all(_is_static(value) for value in _free_inputs(proto)):
        return subject.model.resolve()
    proto = onnx.load(subject.model)
    for value in _free_inputs(proto):
        for dim, extent in zip(value.type.tensor_type.shape.dim, subject.inputs[value.name], strict=True):
            dim.dim_value = extent
    del proto.graph.value_info[:]
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    out = folder / "model.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(proto), out)
    return out


def _free_inputs(proto: onnx.ModelProto) -> list[Any]:
    """The graph inputs that are not weights (old files list those as inputs too)."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    return [value for value in proto.graph.input if value.name not in weights]


def _is_static(value: Any) -> bool:
    return all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in value.type.tensor_type.shape.dim)
