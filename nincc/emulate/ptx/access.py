"""Loads, stores and atomic operations.  Source: PTX ISA, 9.7.9 and 9.7.13."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.instructions import Execute, builds
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.memory import WIDEST
from nincc.emulate.ptx.registers import Read, reader, writer
from nincc.emulate.ptx.scalar import TYPES, Array
from nincc.emulate.ptx.spaces import Part, check_alignment
from nincc.emulate.ptx.syntax import Address, Immediate, Instruction, Operand, Register, Symbol, Vector

SPACES = ("global", "shared", "local", "const", "param")
_ORDER = {"weak", "volatile", "relaxed", "acquire", "release", "mmio", "cta", "cluster", "gpu", "sys"}
_CACHE = {"nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "unified"}
_VECTORS = {"v2": 2, "v4": 4}
_WIDE = {2: "u2", 4: "u4", 8: "u8", 16: "c16"}


def memory_form(instruction: Instruction) -> tuple[str, int, np.dtype[Any]]:
    """Space (``generic`` where none is named), number of elements and their type of a load or a store."""
    *modifiers, kind = instruction.modifiers or ("",)
    space, count = "generic", 1
    for modifier in modifiers:
        name = modifier.split("::")[0]
        if name in SPACES:
            space = name
        elif name in _VECTORS:
            count = _VECTORS[name]
        elif name not in _ORDER | _CACHE | {"L1", "L2"}:
            raise unknown(instruction.line, instruction.text)
    if kind not in TYPES or kind == "pred" or TYPES[kind].itemsize * count > WIDEST:
        raise unknown(instruction.line, instruction.text)
    return space, count, TYPES[kind]


def address_reader(instruction: Instruction, operand: Operand) -> Read:
    """The addresses (int64) that an operand ``[base + offset]`` names."""
    if not isinstance(operand, Address) or not isinstance(operand.base, Register | Symbol | Immediate):
        raise unknown(instruction.line, instruction.text)
    read = reader(instruction, operand.base, "b64")
    offset = np.int64(operand.offset)
    if not operand.offset:
        return lambda state, lanes: read(state, lanes).view(np.int64)
    return lambda state, lanes: read(state, lanes).view(np.int64) + offset


def gather(part: Part, dtype: np.dtype[Any], count: int) -> list[Array]:
    """The elements of a vector, one array each."""
    size = dtype.itemsize * count
    if count == 1:
        return [part.storage.view(dtype).take(part.offsets // size)]
    rows = part.storage.view(np.dtype(_WIDE[size])).take(part.offsets // size)
    columns = rows.view(dtype).reshape(-1, count)
    return [np.ascontiguousarray(columns[:, place]) for place in range(count)]


def scatter(part: Part, dtype: np.dtype[Any], values: list[Array]) -> None:
    """Writes the elements of a vector."""
    size = dtype.itemsize * len(values)
    if len(values) == 1:
        part.storage.view(dtype)[part.offsets // size] = values[0]
        return
    rows = np.empty((part.offsets.size, len(values)), dtype)
    for place, value in enumerate(values):
        rows[:, place] = value
    part.storage.view(np.dtype(_WIDE[size]))[part.offsets // size] = rows.view(_WIDE[size]).reshape(-1)


def footprint(instruction: Instruction) -> list[tuple[str, int]]:
    """The spaces that the instruction accesses, each with the bytes that a thread accesses there at once."""
    if instruction.name in ("atom", "red"):
        space = next((name for name in instruction.modifiers if name in ("global", "shared")), "generic")
        return [(space, TYPES[instruction.modifiers[-1]].itemsize)]
    if instruction.name not in ("ld", "ldu", "st"):
        return []
    space, count, dtype = memory_form(instruction)
    return [(space, count * dtype.itemsize)]


def _items(operand: Operand) -> tuple[Operand, ...]:
    return operand.items if isinstance(operand, Vector) else (operand,)


@builds("ld", "ldu")
def load(instruction: Instruction) -> Execute:
    space, count, dtype = memory_form(instruction)
    target, source = instruction.operands
    items = _items(target)
    if len(items) != count:
        raise unknown(instruction.line, instruction.text)
    writes = [writer(instruction, item) for item in items]
    read_address = address_reader(instruction, source)
    size = dtype.itemsize * count

    def execute(state: Any, lanes: Lanes) -> None:
        addresses = read_address(state, lanes)
        check_alignment(addresses, size, lanes)
        parts = state.find(space, addresses, lanes, size)
        for part in parts:
            state.observer.read(part, size)
        values = _join(lanes.count, parts, [gather(part, dtype, count) for part in parts])
        for write, value in zip(writes, values, strict=True):
            write(state, lanes, value)

    return execute


def _join(count: int, parts: list[Part], values: list[list[Array]]) -> list[Array]:
    """What each part loaded, as one array for each element."""
    if parts[0].where is None:
        return values[0]
    joined = [np.empty(count, value.dtype) for value in values[0]]
    for part, loaded in zip(parts, values, strict=True):
        for whole, value in zip(joined, loaded, strict=True):
            whole[part.where] = value
    return joined


@builds("st")
def store(instruction: Instruction) -> Execute:
    space, count, dtype = memory_form(instruction)
    target, source = instruction.operands
    items = _items(source)
    if len(items) != count:
        raise unknown(instruction.line, instruction.text)
    kind = instruction.modifiers[-1]
    reads = [reader(instruction, item, kind) for item in items]
    read_address = address_reader(instruction, target)
    size = dtype.itemsize * count

    def execute(state: Any, lanes: Lanes) -> None:
        addresses = lanes.spread(read_address(state, lanes))
        check_alignment(addresses, size, lanes)
        values = [lanes.spread(read(state, lanes)) for read in reads]
        for part in state.find(space, addresses, lanes, size):
            state.observer.write(part, size)
            scatter(part, dtype, [value if part.where is None else value[part.where] for value in values])

    return execute


_EXACT: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda old, new: new,
    "inc": lambda old, limit: np.where(old >= limit, old.dtype.type(0), old + old.dtype.type(1)),
    "dec": lambda old, limit: np.where((old == 0) | (old > limit), limit, old - old.dtype.type(1)),
}


@builds("atom", "red")
def atomic(instruction: Instruction) -> Execute:
    """Reads, combines, writes back, one lane after the other; ``red`` gives no old value."""
    *modifiers, kind = instruction.modifiers or ("",)
    space = next((name for name in modifiers if name in ("global", "shared")), "generic")
    names = [name for name in modifiers if name in _EXACT or name == "cas"]
    rest = set(modifiers) - {space, "acq_rel", "noftz", *_ORDER, *names}
    if len(names) != 1 or rest or kind not in TYPES or TYPES[kind].itemsize < 4:
        raise unknown(instruction.line, instruction.text)
    operands = list(instruction.operands)
    write = writer(instruction, operands.pop(0)) if instruction.name == "atom" else None
    read_address = address_reader(instruction, operands.pop(0))
    reads = [reader(instruction, operand, kind) for operand in operands]
    combine = _EXACT.get(names[0])
    dtype = TYPES[kind]

    def execute(state: Any, lanes: Lanes) -> None:
        addresses = lanes.spread(read_address(state, lanes))
        check_alignment(addresses, dtype.itemsize, lanes)
        values = [lanes.spread(read(state, lanes)) for read in reads]
        old = np.empty(lanes.count, dtype)
        for part in state.find(space, addresses, lanes, dtype.itemsize):
            state.observer.atomic(part, dtype.itemsize)
            chosen = slice(None) if part.where is None else part.where
            old[chosen] = _in_turn(part, dtype, combine, [value[chosen] for value in values])
        if write is not None:
            write(state, lanes, old)

    return execute


def _in_turn(
    part: Part, dtype: np.dtype[Any], combine: Callable[[Array, Array], Array] | None, values: list[Array]
) -> Array:
    """What each lane found.  Lanes at one address take turns; those at different addresses go at once."""
    cells = part.storage.view(dtype)
    places = part.offsets // dtype.itemsize
    old = np.empty(places.size, dtype)
    for turn in _turns(places):
        at, operands = places[turn], [value[turn] for value in values]
        found = cells[at]
        old[turn] = found
        cells[at] = np.where(found == operands[0], operands[1], found) if combine is None else combine(found, *operands)
    return old


def _turns(places: Array) -> list[Array]:
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.arange(places.size) - np.repeat(starts, np.diff(np.r_[starts, places.size]))
    by_rank = np.argsort(rank, kind="stable")
    return [order[group] for group in np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])]
