"""Comparison, selection and data movement.  Source: PTX ISA, 9.7.6 and 9.7.9."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.floating import flush
from nincc.emulate.ptx.instructions import Execute, builds, choose, elementwise, is_float, split_modifiers
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.registers import Read, reader, writer
from nincc.emulate.ptx.scalar import TYPES, Array
from nincc.emulate.ptx.syntax import Instruction, Negated, Operand, Pair, Sink, Vector

Compare = Callable[[Array, Array], Array]

_ORDERED: dict[str, Compare] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_UNSIGNED = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
_LOGIC: dict[str, Compare] = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _either_none(a: Array, b: Array) -> Array:
    return np.isnan(a) | np.isnan(b)


def _unordered(compare: Compare) -> Compare:
    return lambda a, b: compare(a, b) | _either_none(a, b)


_FLOAT: dict[str, Compare] = (
    _ORDERED
    | {"ne": lambda a, b: (a != b) & ~_either_none(a, b)}
    | {f"{name}u": _unordered(compare) for name, compare in _ORDERED.items()}
    | {"num": lambda a, b: ~_either_none(a, b), "nan": _either_none}
)
_INTEGER: dict[str, Compare] = _ORDERED | {name: _ORDERED[same] for name, same in _UNSIGNED.items()}


@builds("setp")
def set_predicate(instruction: Instruction) -> Execute:
    """``setp.lt.and.f32 p|q, a, b, c``: p = (a < b) and c, q = not (a < b) and c."""
    kind, modifiers = split_modifiers(instruction, {*_FLOAT, *_INTEGER, *_LOGIC, "ftz"})
    compare = _compare(instruction, kind, modifiers)
    target, *sources = instruction.operands
    first, second = (target.first, target.second) if isinstance(target, Pair) else (target, Sink())
    writes = writer(instruction, first), writer(instruction, second)
    reads = [reader(instruction, source, kind) for source in sources[:2]]
    combine = _combination(instruction, modifiers, sources[2:])

    def execute(state: Any, lanes: Lanes) -> None:
        result = compare(reads[0](state, lanes), reads[1](state, lanes))
        opposite = ~result
        if combine is not None:
            result, opposite = combine(state, lanes, result), combine(state, lanes, opposite)
        writes[0](state, lanes, result)
        writes[1](state, lanes, opposite)

    return execute


def _compare(instruction: Instruction, kind: str, modifiers: set[str]) -> Compare:
    table = _FLOAT if is_float(kind) else _INTEGER
    compare = table[choose(instruction, modifiers, table)]
    return (lambda a, b: compare(flush(a), flush(b))) if "ftz" in modifiers else compare


def _combination(
    instruction: Instruction, modifiers: set[str], sources: list[Operand]
) -> Callable[[Any, Lanes, Array], Array] | None:
    if not sources:
        return None
    read = predicate_reader(instruction, sources[0])
    logic = _LOGIC[choose(instruction, modifiers, _LOGIC)]
    return lambda state, lanes, value: logic(value, read(state, lanes))


def predicate_reader(instruction: Instruction, operand: Operand) -> Read:
    """A predicate operand, which may be negated."""
    if not isinstance(operand, Negated):
        return reader(instruction, operand, "pred")
    read = reader(instruction, operand.register, "pred")
    return lambda state, lanes: ~read(state, lanes)


@builds("set")
def set_value(instruction: Instruction) -> Execute:
    """1.0, or all bits set, where the comparison holds."""
    if len(instruction.modifiers) < 3 or instruction.modifiers[-2] not in TYPES:
        raise unknown(instruction.line, instruction.text)
    kind, to = instruction.modifiers[-1], instruction.modifiers[-2]
    compare = _compare(instruction, kind, set(instruction.modifiers[:-2]))
    yes = np.ones(1, TYPES[to]) if is_float(to) else ~np.zeros(1, TYPES[to])
    return elementwise(instruction, (kind, kind), lambda a, b: np.where(compare(a, b), yes, TYPES[to].type(0)))


@builds("selp")
def select(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())

    def function(a: Array, b: Array, which: Array) -> Array:
        return np.where(which, a, b)

    return elementwise(instruction, (kind, kind, "pred"), function)


@builds("slct")
def select_by_sign(instruction: Instruction) -> Execute:
    if len(instruction.modifiers) != 2 or not set(instruction.modifiers) <= set(TYPES):
        raise unknown(instruction.line, instruction.text)
    kind, by = instruction.modifiers

    def function(a: Array, b: Array, sign: Array) -> Array:
        return np.where(sign >= 0, a, b)

    return elementwise(instruction, (kind, kind, by), function)


@builds("mov")
def move(instruction: Instruction) -> Execute:
    """Also ``mov.b64 {low, high}, d`` and back: a register taken apart or put together."""
    kind, _ = split_modifiers(instruction, ())
    target, source = instruction.operands
    if isinstance(target, Vector):
        return _take_apart(instruction, kind, target, source)
    if isinstance(source, Vector):
        return _put_together(instruction, kind, target, source)
    return elementwise(instruction, (kind,), np.copy)


def _part(kind: str, vector: Vector) -> np.dtype[Any]:
    return np.dtype(f"u{TYPES[kind].itemsize // len(vector.items)}")


def _take_apart(instruction: Instruction, kind: str, target: Vector, source: Operand) -> Execute:
    part = _part(kind, target)
    read = reader(instruction, source, kind)
    writes = [writer(instruction, item) for item in target.items]

    def execute(state: Any, lanes: Lanes) -> None:
        parts = np.ascontiguousarray(read(state, lanes)).view(part).reshape(-1, len(writes))
        for place, write in enumerate(writes):
            write(state, lanes, parts[:, place].copy())

    return execute


def _put_together(instruction: Instruction, kind: str, target: Operand, source: Vector) -> Execute:
    part = _part(kind, source)
    reads = [reader(instruction, item, f"u{8 * part.itemsize}") for item in source.items]
    write = writer(instruction, target)

    def execute(state: Any, lanes: Lanes) -> None:
        parts = np.broadcast_arrays(*[read(state, lanes) for read in reads])
        write(state, lanes, np.stack(parts, axis=-1).view(TYPES[kind]).reshape(-1))

    return execute
