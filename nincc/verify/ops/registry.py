"""The table of operators that the float64 evaluator knows.  No TVM in here.

An operator is a plain function ``(arguments, attributes) -> value`` on numpy arrays.  A value is an array,
or a tuple of values for an operator with several results.  Attributes are the Relay call's, as plain Python
values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nincc.errors import InternalError

Array = npt.NDArray[Any]
Attributes = Mapping[str, Any]
Operator = Callable[[Sequence[Any], Attributes], Any]

OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Enter the decorated function in the table under each of ``names``."""

    def enter(function: Operator) -> Operator:
        for name in names:
            OPERATORS[name] = function
        return function

    return enter


def find(name: str) -> Operator:
    """The operator called ``name``; InternalError, naming it, when the evaluator has none."""
    if name not in OPERATORS:
        raise InternalError(
            f"the float64 evaluator has no operator '{name}'",
            hint="this net cannot be verified; compile it with --no-verify and report the operator",
        )
    return OPERATORS[name]


def permuted(array: Array, source: str, target: str) -> Array:
    """``array`` with its axes, named by the letters of ``source``, in the order of ``target``."""
    if sorted(source) != sorted(target):
        raise InternalError(f"the float64 evaluator cannot turn layout '{source}' into '{target}'")
    return np.transpose(array, [source.index(letter) for letter in target])


def four_sides(padding: Sequence[int]) -> tuple[int, int, int, int]:
    """Relay's one, two or four paddings as (top, left, bottom, right)."""
    if len(padding) == 1:
        return (padding[0],) * 4
    if len(padding) == 2:
        return (padding[0], padding[1], padding[0], padding[1])
    top, left, bottom, right = padding
    return top, left, bottom, right
