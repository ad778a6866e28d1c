"""The operators of the float64 evaluator, one file a family; importing this package fills the table."""

from nincc.verify.ops import conv, elementwise, norm, pool, reduction, shape
from nincc.verify.ops.registry import OPERATORS, find

__all__ = ["OPERATORS", "conv", "elementwise", "find", "norm", "pool", "reduction", "shape"]
