"""From an instruction to a function that executes it for some lanes: the table that the other modules fill."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.registers import reader, writer
from nincc.emulate.ptx.scalar import TYPES, Array
from nincc.emulate.ptx.syntax import Instruction

Execute = Callable[[Any, Lanes], None]
Builder = Callable[[Instruction], Execute]

_BUILDERS: dict[tuple[str, str], Builder] = {}


def builds(*names: str, of: str = "") -> Callable[[Builder], Builder]:
    """Registers a builder for the instructions called ``names``; ``of`` is "f" or "i" for one kind of type only."""

    def register(builder: Builder) -> Builder:
        _BUILDERS.update({(name, of): builder for name in names})
        return builder

    return register


def build(instruction: Instruction) -> Execute:
    """What executes ``instruction``.  InternalError, with its line, for one that is not known."""
    kind = "f" if is_float(instruction.opcode[-1]) else "i"
    builder = _BUILDERS.get((instruction.name, kind)) or _BUILDERS.get((instruction.name, ""))
    if builder is None:
        raise unknown(instruction.line, instruction.text)
    return builder(instruction)


def is_float(kind: str) -> bool:
    """Whether ``kind`` names a float type."""
    return kind in TYPES and kind[0] == "f"


def split_modifiers(instruction: Instruction, allowed: Collection[str]) -> tuple[str, set[str]]:
    """The instruction's type and its other modifiers, all of them among ``allowed``."""
    if not instruction.modifiers or instruction.modifiers[-1] not in TYPES:
        raise unknown(instruction.line, instruction.text)
    modifiers = set(instruction.modifiers[:-1])
    if not modifiers <= set(allowed):
        raise unknown(instruction.line, instruction.text)
    return instruction.modifiers[-1], modifiers


def choose(instruction: Instruction, modifiers: Collection[str], names: Collection[str]) -> str:
    """The one of ``names`` that is among the modifiers."""
    found = [name for name in modifiers if name in names]
    if len(found) != 1:
        raise unknown(instruction.line, instruction.text)
    return found[0]


def elementwise(instruction: Instruction, kinds: Sequence[str], function: Callable[..., Array]) -> Execute:
    """Writes ``function`` of the sources, read as values of types ``kinds``, to the first operand.

    ``function`` gives a fresh array (see registers.py).
    """
    if len(instruction.operands) != 1 + len(kinds):
        raise unknown(instruction.line, instruction.text)
    write = writer(instruction, instruction.operands[0])
    reads = [reader(instruction, operand, kind) for operand, kind in zip(instruction.operands[1:], kinds, strict=True)]

    def execute(state: Any, lanes: Lanes) -> None:
        write(state, lanes, function(*[read(state, lanes) for read in reads]))

    return execute
