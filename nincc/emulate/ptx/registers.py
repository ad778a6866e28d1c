"""The register file: one array a register, a value for each lane, or a single one where all lanes have the same.

An array with a value for each lane belongs to one register alone, so that a write for some of the lanes may change it
in place.  Whatever computes a value to write must therefore give a fresh array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.scalar import TYPES, Array, bits_dtype, widen
from nincc.emulate.ptx.syntax import Immediate, Instruction, Operand, Register, Sink, Special, Symbol

UNDEFINED = 0xFFFF_FFFF_FFFF_FFFF  # bits of a register that was never written: not a number, no address


class State(Protocol):
    """What reading and writing operands needs of a chunk."""

    registers: list[Array]

    def special(self, name: str) -> Array:
        """A special register's values."""

    def symbol(self, name: str) -> int:
        """The address of a variable."""


Read = Callable[[Any, Lanes], Array]
Write = Callable[[Any, Lanes, Array], None]


def fresh_register(kind: str) -> Array:
    """The contents of an unwritten register of type ``kind``."""
    dtype = TYPES[kind]
    return np.zeros(1, bool) if kind == "pred" else np.full(1, UNDEFINED, np.uint64).astype(dtype)


def reader(instruction: Instruction, operand: Operand, kind: str) -> Read:
    """How to read ``operand`` as a value of type ``kind``; the wider part of a wider register is dropped."""
    dtype = TYPES[kind]
    if isinstance(operand, Register):
        return _register_reader(operand, dtype)
    if isinstance(operand, Immediate):
        constant = _constant(instruction, operand, dtype)
        return lambda state, lanes: constant
    if isinstance(operand, Special):
        return _special_reader(operand.name, dtype)
    if isinstance(operand, Symbol):
        return _symbol_reader(operand, dtype)
    raise unknown(instruction.line, instruction.text)


def _register_reader(register: Register, dtype: np.dtype[Any]) -> Read:
    number, size = register.number, TYPES[register.type].itemsize
    narrow = bits_dtype(dtype)

    def read(state: State, lanes: Lanes) -> Array:
        value = lanes.pick(state.registers[number])
        return value.view(dtype)

    def read_narrowed(state: State, lanes: Lanes) -> Array:
        return lanes.pick(state.registers[number]).astype(narrow).view(dtype)

    return read if size == dtype.itemsize else read_narrowed


def _constant(instruction: Instruction, operand: Immediate, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "b":
        return np.array([operand.bits != 0])
    if operand.type == "f64" and dtype == np.float32:
        return np.array([operand.bits], np.uint64).view(np.float64).astype(np.float32)
    if operand.type == "f32" and dtype == np.float64:
        return np.array([operand.bits], np.uint32).view(np.float32).astype(np.float64)
    if operand.type == "int" and dtype.kind == "f":
        raise unknown(instruction.line, f"{instruction.text} with an integer for a float")
    width = 8 * dtype.itemsize
    return np.array([operand.bits % (1 << width)], np.uint64).astype(bits_dtype(dtype)).view(dtype)


def _special_reader(name: str, dtype: np.dtype[Any]) -> Read:
    def read(state: State, lanes: Lanes) -> Array:
        return lanes.pick(state.special(name)).astype(bits_dtype(dtype)).view(dtype)

    return read


def _symbol_reader(symbol: Symbol, dtype: np.dtype[Any]) -> Read:
    def read(state: State, lanes: Lanes) -> Array:
        return np.array([state.symbol(symbol.name) + symbol.offset], np.uint64).astype(dtype)

    return read


def writer(instruction: Instruction, operand: Operand) -> Write:
    """How to write a value to ``operand``: sign-extended or filled with zeros where the register is wider."""
    if isinstance(operand, Sink):
        return lambda state, lanes, value: None
    if not isinstance(operand, Register):
        raise unknown(instruction.line, instruction.text)
    number, dtype = operand.number, TYPES[operand.type]

    def write(state: State, lanes: Lanes, value: Array) -> None:
        bits = widen(value, dtype)
        if lanes.index is None:
            state.registers[number] = bits
            return
        held = state.registers[number]
        if held.size == 1:
            held = state.registers[number] = np.repeat(held, lanes.shape.size)
        held[lanes.index] = bits

    return write
