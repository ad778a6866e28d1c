"""How large a model may be.  Checked on shapes alone, before anything of that size is allocated."""

from __future__ import annotations

from collections.abc import Sequence

#: Bytes of one tensor, weight or activation, batch included.
MAX_TENSOR_BYTES = 1 << 30
#: Bytes of all weights together, and of the file that holds the graph (protobuf's own limit).
MAX_MODEL_BYTES = (1 << 31) - 1
#: Nodes of a graph.  A NIN has about 30; the limit only keeps a hostile file from taking all day.
MAX_NODES = 10_000
#: Elements that constant folding may make, all tensors together.
MAX_FOLDED_ELEMENTS = 1 << 26


def elements(shape: Sequence[int]) -> int:
    """Elements of a tensor of this shape, as an exact integer."""
    count = 1
    for extent in shape:
        count *= extent
    return count


def shape_fault(shape: Sequence[int], item_bytes: int = 4) -> str | None:
    """Why a tensor of this shape cannot be compiled, or None where it can."""
    if any(extent <= 0 for extent in shape):
        return f"shape {list(shape)} has a dimension that is not positive"
    size = elements(shape) * item_bytes
    if size > MAX_TENSOR_BYTES:
        return f"shape {list(shape)} takes {size:,} bytes, more than the {MAX_TENSOR_BYTES:,} nincc compiles"
    return None
