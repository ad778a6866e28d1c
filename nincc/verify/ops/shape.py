"""Operators that move data without computing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from nincc.errors import InternalError
from nincc.verify.ops.registry import Array, Attributes, operator, permuted


@operator("nn.batch_flatten")
def batch_flatten(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """[N, …] to [N, the rest]."""
    data = arguments[0]
    return np.asarray(data.reshape(len(data), -1))


@operator("reshape")
def reshape(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Relay's reshape, with its codes 0, -1, -2, -3 and -4."""
    allow_zero = bool(attributes.get("allowzero"))
    shape = decoded_shape(arguments[0].shape, attributes["newshape"], allow_zero)
    return np.asarray(arguments[0].reshape(shape))


def decoded_shape(old: Sequence[int], codes: Sequence[int], allow_zero: bool = False) -> list[int]:
    """The shape ``codes`` stand for.

    0 copies the next extent (unless ``allow_zero``), -1 is inferred, -2 copies all that are left, -3 merges
    the next two, -4 splits the next one into the two numbers that follow (one may be -1).
    """
    new: list[int] = []
    source, position = list(old), 0
    while position < len(codes):
        code = int(codes[position])
        position += 1
        if code == 0 and not allow_zero:
            new.append(source.pop(0))
        elif code == -2:
            new, source = new + source, []
        elif code == -3:
            new.append(source.pop(0) * source.pop(0))
        elif code == -4:
            new += _split_extent(source.pop(0), int(codes[position]), int(codes[position + 1]))
            position += 2
        else:
            source = source[1:]
            new.append(code)
    return new


def _split_extent(extent: int, first: int, second: int) -> list[int]:
    first = extent // second if first == -1 else first
    return [first, extent // first]


@operator("squeeze")
def squeeze(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Drop the given axes of extent 1, or all of them."""
    axis = attributes["axis"]
    return np.squeeze(arguments[0], axis if axis is None or isinstance(axis, tuple) else (axis,))


@operator("expand_dims")
def expand_dims(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Insert ``num_newaxis`` axes of extent 1 before ``axis``."""
    data, axis, count = arguments[0], attributes["axis"], attributes["num_newaxis"]
    axis = axis if axis >= 0 else data.ndim + axis + 1
    return np.asarray(data.reshape(*data.shape[:axis], *[1] * count, *data.shape[axis:]))


@operator("transpose")
def transpose(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Permute the axes (none given: reverse them)."""
    return np.transpose(arguments[0], attributes["axes"] or None)


@operator("layout_transform")
def layout_transform(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Permute named axes; blocked layouts are refused."""
    return permuted(arguments[0], attributes["src_layout"], attributes["dst_layout"])


@operator("concatenate")
def concatenate(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Join a tuple of tensors along one axis."""
    return np.concatenate(arguments[0], axis=attributes["axis"])


@operator("stack")
def stack(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Join a tuple of tensors along a new axis."""
    return np.stack(arguments[0], axis=attributes["axis"])


@operator("split")
def split(arguments: Sequence[Any], attributes: Attributes) -> tuple[Array, ...]:
    """Cut along one axis into equal sections, or at the given indices."""
    where = attributes["indices_or_sections"]
    where = list(where) if isinstance(where, tuple) else where
    return tuple(np.split(arguments[0], where, attributes["axis"]))


@operator("strided_slice")
def strided_slice(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """A slice along some axes; ``slice_mode`` "size" gives extents in place of ends (-1: all the rest)."""
    data = arguments[0]
    begin, end = attributes["begin"], attributes["end"]
    strides = tuple(attributes["strides"] or ()) + (1,) * len(begin)
    axes = attributes["axes"] or range(len(begin))
    index = [slice(None)] * data.ndim
    for position, axis in enumerate(axes):
        first, last, step = begin[position], end[position], strides[position]
        if attributes["slice_mode"] == "size":
            step, last = 1, None if last == -1 else first + last
        index[axis] = slice(first, last, step)
    return np.asarray(data[tuple(index)])


@operator("nn.pad")
def pad(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Pad each axis with the second argument, the edge, or a reflection; negative widths crop."""
    data, value = arguments
    mode = attributes["pad_mode"]
    if mode not in ("constant", "edge", "reflect"):
        raise InternalError(f"the float64 evaluator cannot pad by '{mode}'")
    widths = attributes["pad_width"]
    crop = tuple(
        slice(max(-before, 0), extent - max(-after, 0))
        for (before, after), extent in zip(widths, data.shape, strict=True)
    )
    grow = [(max(before, 0), max(after, 0)) for before, after in widths]
    if mode == "constant":
        return np.pad(data[crop], grow, constant_values=float(value))
    return np.pad(data[crop], grow, mode="edge" if mode == "edge" else "reflect")


@operator("take")
def take(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Pick indices along one axis (none: of the flattened data); those beyond it are clipped, or wrap."""
    data, indices = arguments
    mode: Literal["wrap", "clip"] = "wrap" if attributes["mode"] == "wrap" else "clip"
    return np.asarray(np.take(data, indices.astype(np.int64), axis=attributes["axis"], mode=mode))


@operator("broadcast_to")
def broadcast_to(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Repeat along axes of extent 1."""
    return np.broadcast_to(arguments[0], attributes["shape"])


@operator("tile")
def tile(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Repeat the whole tensor along each axis."""
    return np.tile(arguments[0], attributes["reps"])
