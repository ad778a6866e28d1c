"""Conversions between types.  Source: PTX ISA, 9.7.9, ``cvt`` and ``cvta``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nincc.emulate.ptx.faults import unknown
from nincc.emulate.ptx.floating import flush, saturate
from nincc.emulate.ptx.instructions import Execute, builds, elementwise, is_float
from nincc.emulate.ptx.scalar import TYPES, Array
from nincc.emulate.ptx.spaces import WINDOWS
from nincc.emulate.ptx.syntax import Instruction

_TO_WHOLE: dict[str, Callable[[Array], Array]] = {
    "rni": np.rint,
    "rzi": np.trunc,
    "rmi": np.floor,
    "rpi": np.ceil,
}


@builds("cvt")
def convert(instruction: Instruction) -> Execute:
    """``cvt.[rounding.][ftz.][sat.]to.from``; a float becomes the nearest integer in range, not a number 0."""
    if len(instruction.modifiers) < 2 or not set(instruction.modifiers[-2:]) <= set(TYPES) - {"pred"}:
        raise unknown(instruction.line, instruction.text)
    to, source = instruction.modifiers[-2:]
    modifiers = set(instruction.modifiers[:-2])
    if not modifiers <= {"rn", "ftz", "sat", *_TO_WHOLE} or len(modifiers & set(_TO_WHOLE)) > 1:
        raise unknown(instruction.line, instruction.text)
    function = _conversion(to, source, modifiers)
    if "ftz" in modifiers and source == "f32":
        return elementwise(instruction, (source,), lambda a: function(flush(a)))
    return elementwise(instruction, (source,), function)


def _conversion(to: str, source: str, modifiers: set[str]) -> Callable[[Array], Array]:
    dtype = TYPES[to]
    whole = next((function for name, function in _TO_WHOLE.items() if name in modifiers), None)
    if is_float(source) and not is_float(to):
        return _to_integer(dtype, whole or np.rint)
    if not is_float(source):
        if "sat" in modifiers and not is_float(to):
            return _clip_to(dtype)
        return lambda a: a.astype(dtype)
    rounded = (lambda a: whole(a).astype(dtype)) if whole else (lambda a: a.astype(dtype))
    return (lambda a: saturate(rounded(a))) if "sat" in modifiers else rounded


def _to_integer(dtype: np.dtype[Any], whole: Callable[[Array], Array]) -> Callable[[Array], Array]:
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)

    def function(a: Array) -> Array:
        value = whole(a.astype(np.float64))
        inside = (value > low - 1.0) & (value < high + 1.0) & (value >= low)
        result = np.where(inside, value, 0).astype(dtype)
        result = np.where(value >= high + 1.0, dtype.type(high), result)
        return np.where(value < low, dtype.type(low), result)

    return function


def _clip_to(dtype: np.dtype[Any]) -> Callable[[Array], Array]:
    limits = np.iinfo(dtype)

    def function(a: Array) -> Array:
        own = np.iinfo(a.dtype)
        low, high = max(limits.min, own.min), min(limits.max, own.max)
        return np.clip(a, a.dtype.type(low), a.dtype.type(high)).astype(dtype)

    return function


@builds("cvta")
def convert_address(instruction: Instruction) -> Execute:
    """From a space's own addresses to generic ones, or with ``.to`` back."""
    back = "to" in instruction.modifiers
    names = [name for name in instruction.modifiers[:-1] if name != "to"]
    if len(names) != 1 or names[0] not in WINDOWS or instruction.modifiers[-1] != "u64":
        raise unknown(instruction.line, instruction.text)
    base = np.uint64(WINDOWS[names[0]])
    return elementwise(instruction, ("u64",), (lambda a: a - base) if back else (lambda a: a + base))
