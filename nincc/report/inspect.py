"""Describes a model or an artefact: layers, shapes, costs; kernels, memory, proof.  No TVM in here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from nincc.artefact import read_manifest
from nincc.frontend import load_model
from nincc.macs import count_layers, total_macs, total_parameters
from nincc.tensor import TensorSpec


def inspect_model(path: Path, batch: int | None = None) -> dict[str, Any]:
    """A model's inputs, outputs and layers with shapes, multiply-accumulates and parameters, as JSON data."""
    model = load_model(path, batch)
    layers = count_layers(model.proto)
    return {
        "kind": "model",
        "name": model.name,
        "sha256": model.sha256,
        "batch": model.batch,
        "inputs": [_spec(spec) for spec in model.inputs],
        "outputs": [_spec(spec) for spec in model.outputs],
        "layers": [asdict(layer) for layer in layers],
        "macs": total_macs(layers),
        "parameters": total_parameters(layers),
        "notes": list(model.notes),
    }


def inspect_artefact(path: Path) -> dict[str, Any]:
    """An artefact's manifest, with the sizes of its files."""
    manifest = read_manifest(path)
    sizes = {name: (path / name).stat().st_size for name in manifest["files"] if (path / name).is_file()}
    return {"kind": "artefact", **manifest, "file_bytes": sizes}


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "shape": list(spec.shape), "dtype": "float32"}
