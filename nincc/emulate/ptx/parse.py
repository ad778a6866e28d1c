"""PTX text to :class:`~nincc.emulate.ptx.syntax.ModuleText`."""

from __future__ import annotations

import math

from nincc.emulate.ptx.body import parse_body
from nincc.emulate.ptx.scalar import itemsize
from nincc.emulate.ptx.syntax import Kernel, ModuleText, Parameter, Variable
from nincc.emulate.ptx.tokens import Tokens

_HEADER = (".version", ".target", ".address_size", ".file")
_LINKAGE = (".visible", ".extern", ".weak", ".common")
_SPACES = (".global", ".const", ".shared", ".local")


def parse_module(text: str) -> ModuleText:
    """The kernels and variables of a PTX module; functions that are no entries are left out.

    InternalError for text that it cannot read, with the line.
    """
    tokens = Tokens(text)
    module = ModuleText()
    while not tokens.done:
        word = tokens.next.text
        if word in _HEADER:
            tokens.skip_line()
        elif word in _LINKAGE:
            tokens.take()
        elif word == ".entry":
            kernel = _parse_entry(tokens)
            module.kernels[kernel.name] = kernel
        elif word == ".func":
            _skip_function(tokens)
        elif word in _SPACES:
            variable = parse_variable(tokens)
            module.variables[variable.name] = variable
        else:
            raise tokens.wrong("a directive is expected")
    return module


def _parse_entry(tokens: Tokens) -> Kernel:
    tokens.expect(".entry")
    name = tokens.take("word").text
    kernel = Kernel(name, _parse_parameters(tokens) if tokens.next.text == "(" else ())
    while tokens.next.text != "{":
        tokens.take()  # performance directives: .reqntid, .maxntid, .minnctapersm …
    parse_body(tokens, kernel, parse_variable)
    return kernel


def _parse_parameters(tokens: Tokens) -> tuple[Parameter, ...]:
    tokens.expect("(")
    parameters: list[Parameter] = []
    end = 0
    while not tokens.accept(")"):
        tokens.expect(".param")
        name, size, align = _parse_parameter(tokens)
        offset = -(-end // align) * align
        parameters.append(Parameter(name, offset, size))
        end = offset + size
        tokens.accept(",")
    return tuple(parameters)


def _parse_parameter(tokens: Tokens) -> tuple[str, int, int]:
    """Name, bytes and alignment.  What follows ``.ptr`` tells of the memory pointed at, not of the parameter."""
    align, unit, pointer = 0, 0, False
    while (word := tokens.take("word").text).startswith("."):
        if word == ".align":
            align = align if pointer else int(tokens.next.text)
            tokens.take("number")
        elif word == ".ptr":
            pointer = True
        elif word not in _SPACES:
            unit = itemsize(word[1:])
    return word, unit * math.prod(_parse_dimensions(tokens)), align or unit


def _parse_dimensions(tokens: Tokens) -> list[int]:
    dimensions = []
    while tokens.accept("["):
        dimensions.append(0 if tokens.next.text == "]" else int(tokens.take("number").text, 0))
        tokens.expect("]")
    return dimensions


def parse_variable(tokens: Tokens) -> Variable:
    """``.shared .align 16 .b8 name[64];`` from the space on, with its values if it has any."""
    space = tokens.take("word").text[1:]
    align, kind = 0, "b8"
    while (word := tokens.take("word").text).startswith("."):
        if word == ".align":
            align = int(tokens.take("number").text)
        elif word not in _LINKAGE:
            kind = word[1:]
    size = itemsize(kind) * math.prod(_parse_dimensions(tokens))
    initial = None
    if tokens.accept("="):
        initial = _parse_values(tokens, itemsize(kind)).ljust(size, b"\0")
    tokens.expect(";")
    return Variable(word, space, align or itemsize(kind), size, initial)


def _parse_values(tokens: Tokens, unit: int) -> bytes:
    depth, values = 0, b""
    while True:
        depth += tokens.accept("{")
        if tokens.next.kind == "float":
            values += int(tokens.take().text[2:], 16).to_bytes(unit, "little")
        elif tokens.next.kind == "number":
            value = int(tokens.take().text.rstrip("U"), 0)
            values += (value % (1 << (8 * unit))).to_bytes(unit, "little")
        elif not tokens.accept(","):
            raise tokens.wrong("a number is expected")
        while tokens.accept("}"):
            depth -= 1
        if depth == 0:
            return values


def _skip_function(tokens: Tokens) -> None:
    """A function that is no entry: its declaration up to the semicolon, or its definition up to the last brace."""
    while tokens.next.text not in ("{", ";"):
        tokens.take()
    tokens.skip_past("}" if tokens.next.text == "{" else ";")
