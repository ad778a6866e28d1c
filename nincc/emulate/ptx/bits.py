"""Logic, shifts and bit fields.  Source: PTX ISA, 9.7.1 and 9.7.8."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.instructions import Execute, builds, elementwise, split_modifiers
from nincc.emulate.ptx.scalar import Array
from nincc.emulate.ptx.syntax import Immediate, Instruction

_LOGIC: dict[str, Callable[[Array, Array], Array]] = {
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def shift_left(a: Array, amount: Array) -> Array:
    """Amounts of the width and above give 0."""
    width = 8 * a.dtype.itemsize
    shifted: Array = a << np.minimum(amount, width - 1).astype(a.dtype)
    return np.where(amount < width, shifted, a.dtype.type(0))


def shift_right(a: Array, amount: Array) -> Array:
    """Amounts of the width and above give 0, or copies of the sign of a signed value."""
    width = 8 * a.dtype.itemsize
    shifted: Array = a >> np.minimum(amount, width - 1).astype(a.dtype)
    return shifted if a.dtype.kind == "i" else np.where(amount < width, shifted, a.dtype.type(0))


def extract(a: Array, position: Array, length: Array) -> Array:
    """The ``length`` bits from ``position`` on; a signed value's are extended from their top bit in the value."""
    width = 8 * a.dtype.itemsize
    start, count = position & np.uint32(0xFF), length & np.uint32(0xFF)
    field = shift_right(a, start) & _mask(count, a.dtype.itemsize).view(a.dtype)
    if a.dtype.kind == "u":
        return field
    top = np.minimum(start + count - np.uint32(1), np.uint32(width - 1))
    negative = (count > 0) & ((shift_right(a, top) & a.dtype.type(1)) != 0)
    return np.where(negative, field | ~_mask(count, a.dtype.itemsize).view(a.dtype), field)


def insert(field: Array, into: Array, position: Array, length: Array) -> Array:
    """``into`` with its ``length`` bits from ``position`` on replaced by those of ``field``."""
    start, count = position & np.uint32(0xFF), length & np.uint32(0xFF)
    mask = shift_left(_mask(count, into.dtype.itemsize), start)
    return (into & ~mask) | (shift_left(field, start) & mask)


def _mask(count: Array, size: int) -> Array:
    """The lowest ``count`` bits set."""
    ones = np.full(1, 2 ** (8 * size) - 1, f"u{size}")
    return ~shift_left(ones, count)


def count_ones(a: Array) -> Array:
    return np.bitwise_count(a).astype(np.uint32)


def leading_zeros(a: Array) -> Array:
    """Zeros above the highest bit that is set."""
    width = 8 * a.dtype.itemsize
    for shift in (1, 2, 4, 8, 16, 32):
        if shift < width:
            a = a | (a >> a.dtype.type(shift))
    return (width - np.bitwise_count(a).astype(np.int64)).astype(np.uint32)


def reverse(a: Array) -> Array:
    """The bits in the opposite order."""
    size = a.dtype.itemsize
    octets = np.ascontiguousarray(a).view(np.uint8).reshape(-1, size)
    bits = np.unpackbits(octets, axis=1, bitorder="little")
    return np.packbits(bits[:, ::-1], axis=1, bitorder="little").view(a.dtype).reshape(-1)


def permute(a: Array, b: Array, selector: Array) -> Array:
    """``prmt``: each nibble of the selector picks one of the eight bytes of b:a, or its sign spread."""
    both = a.astype(np.uint64) | (b.astype(np.uint64) << np.uint64(32))
    result = np.zeros(1, np.uint32)
    for byte in range(4):
        nibble = (selector >> np.uint32(4 * byte)) & np.uint32(15)
        chosen = (both >> ((nibble & np.uint32(7)).astype(np.uint64) * np.uint64(8))) & np.uint64(0xFF)
        sign = np.where(chosen >= 128, np.uint64(0xFF), np.uint64(0))
        chosen = np.where(nibble >= 8, sign, chosen)
        result = result | (chosen.astype(np.uint32) << np.uint32(8 * byte))
    return result


def look_up(table: int) -> Callable[[Array, Array, Array], Array]:
    """``lop3``: the logic function whose truth table is ``table``."""

    def function(a: Array, b: Array, c: Array) -> Array:
        result = np.zeros(1, a.dtype)
        for case in range(8):
            if table >> case & 1:
                terms = [value if case & bit else ~value for value, bit in ((a, 4), (b, 2), (c, 1))]
                result = result | (terms[0] & terms[1] & terms[2])
        return result

    return function


def funnel_left(low: Array, high: Array, amount: Array) -> Array:
    """The upper half of high:low shifted left."""
    both = (high.astype(np.uint64) << np.uint64(32)) | low
    return ((both << amount.astype(np.uint64)) >> np.uint64(32)).astype(np.uint32)


def funnel_right(low: Array, high: Array, amount: Array) -> Array:
    """The lower half of high:low shifted right."""
    both = (high.astype(np.uint64) << np.uint64(32)) | low
    return (both >> amount.astype(np.uint64)).astype(np.uint32)


@builds(*_LOGIC)
def logic(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind, kind), _LOGIC[instruction.name])


@builds("not")
def invert(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind,), np.invert)


@builds("cnot")
def logical_not(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind,), lambda a: (a == 0).astype(a.dtype))


@builds("shl", "shr")
def shift(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind, "u32"), shift_left if instruction.name == "shl" else shift_right)


@builds("shf")
def funnel(instruction: Instruction) -> Execute:
    forms = {("l", "wrap", "b32"): 31, ("r", "wrap", "b32"): 31, ("l", "clamp", "b32"): 32, ("r", "clamp", "b32"): 32}
    if instruction.modifiers not in forms:
        raise unknown(instruction.line, instruction.text)
    limit = np.uint32(forms[instruction.modifiers])
    move = funnel_left if instruction.modifiers[0] == "l" else funnel_right
    wrap = limit == 31

    def function(low: Array, high: Array, amount: Array) -> Array:
        return move(low, high, amount & limit if wrap else np.minimum(amount, limit))

    return elementwise(instruction, ("b32", "b32", "u32"), function)


@builds("bfe")
def bit_field(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind, "u32", "u32"), extract)


@builds("bfi")
def bit_insert(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind, kind, "u32", "u32"), insert)


@builds("popc", "clz", "brev")
def bit_count(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    functions = {"popc": count_ones, "clz": leading_zeros, "brev": reverse}
    return elementwise(instruction, (kind,), functions[instruction.name])


@builds("prmt")
def permutation(instruction: Instruction) -> Execute:
    if instruction.modifiers != ("b32",):
        raise unknown(instruction.line, instruction.text)
    return elementwise(instruction, ("b32", "b32", "b32"), permute)


@builds("lop3")
def logic_of_three(instruction: Instruction) -> Execute:
    table = instruction.operands[-1]
    if instruction.modifiers != ("b32",) or not isinstance(table, Immediate):
        raise unknown(instruction.line, instruction.text)
    shorter = Instruction(instruction.opcode, instruction.operands[:-1], None, instruction.line)
    return elementwise(shorter, ("b32", "b32", "b32"), look_up(table.bits))


