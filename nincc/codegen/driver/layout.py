"""What a context holds, and where: its head, the workspace, then copies of misaligned tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nincc.codegen.program import Program
from nincc.tensor import TensorSpec

ALIGNMENT = 128  # of a context: words of two threads stay this far apart
_TENSOR_ALIGNMENT = 64
_HEAD = 1024  # mutex, conditions and counters, with room for every C library's idea of their size
_HEAD_PER_THREAD = ALIGNMENT + 16


@dataclass(frozen=True)
class ContextLayout:
    """Byte sizes and offsets; offsets count from the workspace's start.

    ``context_bytes`` is what ``nin_open_in`` needs: everything, and slack to align it.
    """

    head_bytes: int
    input_copies: tuple[int, ...]
    output_copies: tuple[int, ...]
    context_bytes: int


def context_layout(program: Program, profile: bool = False) -> ContextLayout:
    """The layout of a context that runs ``program``; a profiling one also keeps a time for each step."""
    head = _HEAD + _HEAD_PER_THREAD * program.threads + (8 * len(program.steps) if profile else 0)
    head = _round_up(head, ALIGNMENT)
    start = _round_up(program.workspace_bytes, _TENSOR_ALIGNMENT)
    inputs, start = _place(program.inputs, start)
    outputs, start = _place(program.outputs, start)
    return ContextLayout(head, inputs, outputs, _round_up(head + start, ALIGNMENT) + ALIGNMENT)


def _place(specs: Sequence[TensorSpec], start: int) -> tuple[tuple[int, ...], int]:
    offsets = []
    for spec in specs:
        offsets.append(start)
        start = _round_up(start + 4 * spec.elements, _TENSOR_ALIGNMENT)
    return tuple(offsets), start


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
