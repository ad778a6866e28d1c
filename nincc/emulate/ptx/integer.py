"""Integer arithmetic.  Source: PTX ISA, 9.7.1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.instructions import Execute, builds, choose, elementwise, split_modifiers
from nincc.emulate.ptx.scalar import TYPES, Array
from nincc.emulate.ptx.syntax import Instruction


def divide(a: Array, b: Array) -> Array:
    """Division that rounds towards zero; by zero every bit of the result is set, as on the hardware."""
    safe = np.where(b == 0, b.dtype.type(1), b)
    quotient = a // safe
    if a.dtype.kind == "i":
        inexact = quotient * safe != a
        quotient = quotient + (inexact & ((a < 0) != (safe < 0))).astype(a.dtype)
    return np.where(b == 0, ~np.zeros(1, a.dtype), quotient)


def remainder(a: Array, b: Array) -> Array:
    """What :func:`divide` leaves; of a division by zero, the dividend."""
    return np.where(b == 0, a, a - divide(a, b) * b)


def high_product(a: Array, b: Array) -> Array:
    """The upper half of the double-width product."""
    bits = 8 * a.dtype.itemsize
    if bits < 64:
        wide = np.dtype(f"{a.dtype.kind}{a.dtype.itemsize * 2}")
        product: Array = a.astype(wide) * b.astype(wide)
        half: Array = (product >> wide.type(bits)).astype(a.dtype)
        return half
    high = _high_unsigned(a.view(np.uint64), b.view(np.uint64))
    if a.dtype.kind == "i":
        zero = np.uint64(0)
        high = high - np.where(a < 0, b.view(np.uint64), zero) - np.where(b < 0, a.view(np.uint64), zero)
    return high.view(a.dtype)


def _high_unsigned(a: Array, b: Array) -> Array:
    half, mask = np.uint64(32), np.uint64(0xFFFF_FFFF)
    low_a, high_a, low_b, high_b = a & mask, a >> half, b & mask, b >> half
    middle = high_a * low_b + ((low_a * low_b) >> half)
    carry = low_a * high_b + (middle & mask)
    high: Array = high_a * high_b + (middle >> half) + (carry >> half)
    return high


def wide_product(a: Array, b: Array) -> Array:
    """The whole product, twice as wide."""
    wide = f"{a.dtype.kind}{a.dtype.itemsize * 2}"
    product: Array = a.astype(wide) * b.astype(wide)
    return product


_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "div": divide,
    "rem": remainder,
    "min": np.minimum,
    "max": np.maximum,
}
_PRODUCTS: dict[str, Callable[[Array, Array], Array]] = {
    "lo": np.multiply,
    "hi": high_product,
    "wide": wide_product,
}


@builds(*_BINARY, of="i")
def binary(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind, kind), _BINARY[instruction.name])


@builds("neg", "abs", of="i")
def unary(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind,), np.negative if instruction.name == "neg" else np.abs)


@builds("mul", of="i")
def multiply(instruction: Instruction) -> Execute:
    kind, which = _product(instruction)
    return elementwise(instruction, (kind, kind), _PRODUCTS[which])


@builds("mad", of="i")
def multiply_add(instruction: Instruction) -> Execute:
    kind, which = _product(instruction)
    total = f"{kind[0]}{16 * TYPES[kind].itemsize}" if which == "wide" else kind
    product = _PRODUCTS[which]
    return elementwise(instruction, (kind, kind, total), lambda a, b, c: product(a, b) + c)


def _product(instruction: Instruction) -> tuple[str, str]:
    kind, modifiers = split_modifiers(instruction, _PRODUCTS)
    which = choose(instruction, modifiers, _PRODUCTS)
    if which == "wide" and TYPES[kind].itemsize == 8:
        raise unknown(instruction.line, instruction.text)
    return kind, which


@builds("sad", of="i")
def sum_of_difference(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind, kind, kind), lambda a, b, c: c + np.where(a < b, b - a, a - b))
