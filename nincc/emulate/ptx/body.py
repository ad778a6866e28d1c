"""The body of a kernel: declarations, labels and instructions."""

from __future__ import annotations

from collections.abc import Callable

from nincc.emulate.ptx.scalar import itemsize
from nincc.emulate.ptx.syntax import (
    SPECIAL_REGISTERS,
    Address,
    Guard,
    Immediate,
    Instruction,
    Kernel,
    Negated,
    Operand,
    Pair,
    Register,
    Sink,
    Special,
    Symbol,
    Variable,
    Vector,
)
from nincc.emulate.ptx.tokens import Tokens
from nincc.errors import InternalError

_IGNORED = {".pragma": ";", ".param": ";"}


def parse_body(tokens: Tokens, kernel: Kernel, parse_variable: Callable[[Tokens], Variable]) -> None:
    """Fills ``kernel`` from ``{ … }``; scopes inside only group."""
    names: dict[str, Register] = {}
    tokens.expect("{")
    depth = 1
    while depth:
        word = tokens.next.text
        if word in "{}":
            depth += 1 if word == "{" else -1
            tokens.take()
        elif word == ".reg":
            _parse_registers(tokens, kernel, names)
        elif word in (".local", ".shared"):
            variable = parse_variable(tokens)
            kernel.variables[variable.name] = variable
        elif word == ".loc":
            tokens.skip_line()
        elif word in _IGNORED:
            tokens.skip_past(_IGNORED[word])
        else:
            _parse_statement(tokens, kernel, names)


def _parse_registers(tokens: Tokens, kernel: Kernel, names: dict[str, Register]) -> None:
    """``.reg .b32 %r<81>;`` declares %r0 … %r80, ``.reg .b64 %a, %b;`` just these."""
    tokens.expect(".reg")
    kind = tokens.take("word").text[1:]
    if kind != "pred":
        kind = f"b{8 * itemsize(kind)}"
    while not tokens.accept(";"):
        prefix = tokens.take("word").text
        declared = [prefix]
        if tokens.accept("<"):
            declared = [f"{prefix}{number}" for number in range(int(tokens.take("number").text))]
            tokens.expect(">")
        for name in declared:
            names[name] = Register(name, kind, len(kernel.registers))
            kernel.registers.append(names[name])
        tokens.accept(",")


def _parse_statement(tokens: Tokens, kernel: Kernel, names: dict[str, Register]) -> None:
    guard = _parse_guard(tokens, names)
    token = tokens.take("word")
    if guard is None and tokens.accept(":"):
        if tokens.next.text == ".branchtargets":
            kernel.branch_targets[token.text] = _parse_targets(tokens)
        else:
            kernel.labels[token.text] = len(kernel.instructions)
        return
    operands = []
    while not tokens.accept(";"):
        operands.append(_parse_operand(tokens, names))
        tokens.accept(",")
    kernel.instructions.append(Instruction(tuple(token.text.split(".")), tuple(operands), guard, token.line))


def _parse_targets(tokens: Tokens) -> tuple[str, ...]:
    tokens.expect(".branchtargets")
    labels = [tokens.take("word").text]
    while tokens.accept(","):
        labels.append(tokens.take("word").text)
    tokens.expect(";")
    return tuple(labels)


def _parse_guard(tokens: Tokens, names: dict[str, Register]) -> Guard | None:
    if not tokens.accept("@"):
        return None
    negated = tokens.accept("!")
    return Guard(_register(tokens, names), negated)


def _register(tokens: Tokens, names: dict[str, Register]) -> Register:
    if tokens.next.text not in names:
        raise tokens.wrong("a declared register is expected")
    return names[tokens.take().text]


def _parse_operand(tokens: Tokens, names: dict[str, Register]) -> Operand:
    if tokens.accept("!"):
        return Negated(_register(tokens, names))
    if tokens.next.text in ("{", "("):
        return _parse_vector(tokens, names)
    if tokens.accept("["):
        return _parse_address(tokens, names)
    first = _parse_simple(tokens, names)
    return Pair(first, _parse_simple(tokens, names)) if tokens.accept("|") else first


def _parse_vector(tokens: Tokens, names: dict[str, Register]) -> Vector:
    closing = "}" if tokens.take().text == "{" else ")"
    items = []
    while not tokens.accept(closing):
        items.append(_parse_operand(tokens, names))
        tokens.accept(",")
    return Vector(tuple(items))


def _parse_address(tokens: Tokens, names: dict[str, Register]) -> Address:
    base = _parse_simple(tokens, names)
    if not isinstance(base, Register | Symbol | Immediate):
        raise tokens.wrong("an address is expected")
    offset = _parse_offset(tokens)
    tokens.expect("]")
    if isinstance(base, Symbol):
        return Address(Symbol(base.name), base.offset + offset)
    return Address(base, offset)


def _parse_offset(tokens: Tokens) -> int:
    """``+16``, ``+-16`` or ``-16``, any number of them; nothing is 0."""
    offset = 0
    while tokens.next.text == "+" or tokens.next.kind == "number":
        tokens.accept("+")
        offset += int(tokens.take("number").text, 0)
    return offset


def _parse_simple(tokens: Tokens, names: dict[str, Register]) -> Operand:
    token = tokens.take()
    if token.kind == "float":
        return Immediate(int(token.text[2:], 16), "f32" if token.text[1] in "fF" else "f64")
    if token.kind == "number":
        return Immediate(int(token.text.rstrip("U"), 0))
    if token.text in names:
        return names[token.text]
    if token.text in SPECIAL_REGISTERS:
        return Special(token.text)
    if token.text.startswith("%"):
        raise InternalError(f"unknown register '{token.text}'", where=f"PTX line {token.line}")
    if token.text == "_":
        return Sink()
    if token.text == "WARP_SZ":
        return Immediate(32)
    return Symbol(token.text, _parse_offset(tokens))
