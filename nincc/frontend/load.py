"""``load_model``: from a path to a :class:`~nincc.frontend.model.Model`."""

from __future__ import annotations

import os
from pathlib import Path

from nincc.errors import ModelError, UsageError
from nincc.frontend.external import file_hash, inline_external_data
from nincc.frontend.model import CANONICAL_OPSET, Model
from nincc.frontend.normalise import canonical_proto, normalise
from nincc.frontend.read import read_proto
from nincc.frontend.structure import graph_inputs, name_nodes
from nincc.tensor import TensorSpec


def load_model(path: str | os.PathLike[str], batch: int | None = None) -> Model:
    """Reads an ONNX model, checks it and brings it to the canonical form.

    ``batch`` pins a dynamic leading dimension (default 1); on a model of another fixed batch it is a
    UsageError, as is a path that is no file.  Anything about the model itself that nincc cannot compile is a
    ModelError that names the file and the node.
    """
    path = Path(path)
    if batch is not None and batch < 1:
        raise UsageError(f"--batch {batch} is not a positive number", hint="give at least 1")
    proto = read_proto(path)
    if not proto.graph.output:
        raise ModelError("the graph has no output", where=str(path), hint="export the model again")
    inputs, notes = graph_inputs(proto.graph, path, batch)
    files = inline_external_data(proto, path)
    name_nodes(proto.graph)
    graph = normalise(proto, path, inputs)
    outputs = [info.name for info in proto.graph.output]
    name = proto.graph.name or path.stem
    return Model(
        path=path,
        name=name,
        sha256=file_hash(path, files),
        proto=canonical_proto(graph, name, outputs, CANONICAL_OPSET),
        inputs=tuple(inputs),
        outputs=tuple(TensorSpec(output, graph.shapes[output]) for output in outputs),
        batch=inputs[0].shape[0],
        notes=tuple(notes),
    )
