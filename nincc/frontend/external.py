"""Weights kept beside the model (ONNX external data): read them, from the model's folder only."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from onnx import TensorProto, helper

from nincc.errors import ModelError
from nincc.frontend.limits import MAX_MODEL_BYTES, elements, shape_fault

_HINT = "keep the data file beside the model and name it by a relative path"
_CHUNK = 1 << 20


def inline_external_data(proto: onnx.ModelProto, path: Path) -> list[Path]:
    """Replaces external tensors of ``proto`` by inline ones; gives the files read, sorted.

    Nothing is read or allocated before the place, the file's size and the tensors' total are checked.
    Raises ModelError for a file outside the model's folder, a missing one or one that is too short.
    """
    tensors = [t for t in _tensors(proto.graph) if t.data_location == TensorProto.EXTERNAL]
    total = sum(_bytes(tensor, path) for tensor in tensors)
    if total > MAX_MODEL_BYTES:
        raise ModelError(
            f"its external data takes {total:,} bytes, more than the {MAX_MODEL_BYTES:,} nincc compiles",
            where=str(path), hint="compile a smaller net",
        )
    files = {_inline(tensor, path) for tensor in tensors}
    return sorted(files)


def file_hash(path: Path, others: list[Path]) -> str:
    """SHA-256 of the model's file, with the data files' bytes after it where there are any."""
    digest = hashlib.sha256()
    for source in (path, *others):
        with open(source, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Initializers and the tensors in attributes; graphs within nodes are refused later anyhow."""
    found = list(graph.initializer)
    for node in graph.node:
        found += [a.t for a in node.attribute if a.type == onnx.AttributeProto.TENSOR]
    return found


def _bytes(tensor: onnx.TensorProto, path: Path) -> int:
    try:
        item = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, ValueError, TypeError):
        raise _fault(tensor, path, "has a type that external data cannot have") from None
    if any(extent < 0 for extent in tensor.dims):
        raise _fault(tensor, path, f"has the shape {list(tensor.dims)}")
    fault = None if 0 in tensor.dims else shape_fault(tensor.dims, item)
    if fault:
        raise _fault(tensor, path, f"does not fit: its {fault}")
    return elements(tensor.dims) * item


def _inline(tensor: onnx.TensorProto, path: Path) -> Path:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if not all(isinstance(text, str) for item in entries.items() for text in item):
        raise _fault(tensor, path, "has an external data entry that is not UTF-8", _HINT)
    source = _place(tensor, path, entries.get("location", ""))
    expected = _bytes(tensor, path)
    offset = _number(tensor, path, entries.get("offset", "0"))
    length = _number(tensor, path, entries.get("length", str(expected)))
    if length != expected:
        raise _fault(tensor, path, f"has {length} bytes of external data where its shape needs {expected}")
    if offset + length > source.stat().st_size:
        raise _fault(tensor, path, f"reads past the end of '{source.name}'", "copy the whole data file")
    with open(source, "rb") as stream:
        stream.seek(offset)
        tensor.raw_data = stream.read(length)
    if len(tensor.raw_data) != length:
        raise _fault(tensor, path, f"reads past the end of '{source.name}'", "copy the whole data file")
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]
    return source


def _place(tensor: onnx.TensorProto, path: Path, location: str) -> Path:
    """The data file: a regular file whose real path lies in the model's folder."""
    text = repr(location)
    if not location or "\0" in location:
        raise _fault(tensor, path, f"has the external data location {text}", _HINT)
    if PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor:
        raise _fault(tensor, path, f"keeps its data at the absolute path {text}", _HINT)
    if ".." in PureWindowsPath(location).parts:  # splits at / and \
        raise _fault(tensor, path, f"keeps its data outside the model's folder, at {text}", _HINT)
    folder = path.resolve().parent
    source = path.parent / location
    if not source.exists():
        raise _fault(tensor, path, f"keeps its data in {text}, which is not there", _HINT)
    real = source.resolve()
    if not real.is_relative_to(folder) and not real.is_relative_to(path.parent.resolve()):
        raise _fault(tensor, path, f"keeps its data in {text}, a link out of the model's folder", _HINT)
    if not real.is_file():
        raise _fault(tensor, path, f"keeps its data in {text}, which is not a file", _HINT)
    return source


def _number(tensor: onnx.TensorProto, path: Path, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _fault(tensor, path, f"has the offset or length {text!r}, which is no byte count")
    return int(text)


def _fault(tensor: onnx.TensorProto, path: Path, what: str, hint: str = "export again") -> ModelError:
    return ModelError(f"tensor '{tensor.name}' {what}", where=str(path), hint=hint)
