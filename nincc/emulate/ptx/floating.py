"""Float arithmetic and functions.  Source: PTX ISA, 9.7.3 and 9.7.4.

Every result is the nearest float, also where the hardware approximates (``ex2.approx`` is off by 2 units in the last
place there).  ``fma`` rounds a float64 sum: in one case of 2^29 that is the neighbour of what the hardware gives.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.instructions import Execute, builds, elementwise, split_modifiers
from nincc.emulate.ptx.scalar import Array
from nincc.emulate.ptx.syntax import Instruction

_WIDER: dict[np.dtype[np.generic], type[np.floating]] = {
    np.dtype(np.float16): np.float32,
    np.dtype(np.float32): np.float64,
    np.dtype(np.float64): np.longdouble,
}


def fused(a: Array, b: Array, c: Array) -> Array:
    """a·b + c, rounded once."""
    wide = a.astype(_WIDER[a.dtype]) * b
    total: Array = np.add(wide, c, out=wide) if wide.size >= c.size else wide + c
    return total.astype(a.dtype)


def precise(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """``function`` computed in the next wider type."""
    return lambda a: function(a.astype(_WIDER[a.dtype])).astype(a.dtype)


def flush(a: Array) -> Array:
    """Numbers below the normal ones become zero, with their sign."""
    tiny = np.finfo(a.dtype).tiny
    return np.where(np.abs(a) < tiny, np.copysign(a.dtype.type(0), a), a)


def saturate(a: Array) -> Array:
    """Cut to 0 … 1; not a number becomes 0."""
    cut: Array = np.fmin(np.fmax(a, a.dtype.type(0)), a.dtype.type(1))
    return cut


def _copy_sign(sign: Array, magnitude: Array) -> Array:
    return np.copysign(magnitude, sign)


_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.fmin,
    "max": np.fmax,
    "copysign": _copy_sign,
}
_UNARY: dict[str, Callable[[Array], Array]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "rcp": precise(lambda a: 1 / a),
    "rsqrt": precise(lambda a: 1 / np.sqrt(a)),
    "ex2": precise(np.exp2),
    "lg2": precise(np.log2),
    "sin": precise(np.sin),
    "cos": precise(np.cos),
    "tanh": precise(np.tanh),
}
_PLAIN = ("rn", "ftz", "sat")
_ROUGH = ("approx", "full", "rn", "ftz")


def _finish(function: Callable[..., Array], modifiers: set[str]) -> Callable[..., Array]:
    """``function`` with what ``.ftz`` and ``.sat`` ask for."""
    if not modifiers & {"ftz", "sat"}:
        return function

    def finished(*values: Array) -> Array:
        if "ftz" in modifiers:
            values = tuple(map(flush, values))
        result = function(*values)
        result = flush(result) if "ftz" in modifiers else result
        return saturate(result) if "sat" in modifiers else result

    return finished


@builds("add", "sub", "mul", of="f")
def plain(instruction: Instruction) -> Execute:
    kind, modifiers = split_modifiers(instruction, _PLAIN)
    return elementwise(instruction, (kind, kind), _finish(_BINARY[instruction.name], modifiers))


@builds("div", of="f")
def divide(instruction: Instruction) -> Execute:
    kind, modifiers = split_modifiers(instruction, _ROUGH)
    return elementwise(instruction, (kind, kind), _finish(np.divide, modifiers))


@builds("min", "max", of="f")
def extreme(instruction: Instruction) -> Execute:
    """The number where one of the two is none; with ``.NaN`` not a number then."""
    kind, modifiers = split_modifiers(instruction, ("ftz", "NaN"))
    function = _BINARY[instruction.name]
    if "NaN" in modifiers:
        function = np.minimum if instruction.name == "min" else np.maximum
    return elementwise(instruction, (kind, kind), _finish(function, modifiers))


@builds("copysign", of="f")
def copy_sign(instruction: Instruction) -> Execute:
    kind, _ = split_modifiers(instruction, ())
    return elementwise(instruction, (kind, kind), _copy_sign)


@builds("fma", "mad", of="f")
def multiply_add(instruction: Instruction) -> Execute:
    kind, modifiers = split_modifiers(instruction, _PLAIN)
    return elementwise(instruction, (kind, kind, kind), _finish(fused, modifiers))


@builds(*_UNARY, of="f")
def unary(instruction: Instruction) -> Execute:
    kind, modifiers = split_modifiers(instruction, _ROUGH)
    return elementwise(instruction, (kind,), _finish(_UNARY[instruction.name], modifiers))


@builds("testp", of="f")
def test(instruction: Instruction) -> Execute:
    tests: dict[str, Callable[[Array], Array]] = {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda a: ~np.isnan(a),
        "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & (np.abs(a) >= np.finfo(a.dtype).tiny),
        "subnormal": lambda a: (a != 0) & (np.abs(a) < np.finfo(a.dtype).tiny),
    }
    kind, modifiers = split_modifiers(instruction, tests)
    if len(modifiers) != 1:
        raise unknown(instruction.line, instruction.text)
    return elementwise(instruction, (kind,), tests[modifiers.pop()])
