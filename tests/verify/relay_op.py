"""Builds a one-operator Relay function and evaluates it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.verify.evaluator import evaluate

relay = tvm.relay


def run_op(build: Callable[..., Any], *inputs: np.ndarray) -> Any:
    """The outputs of ``build(*variables)``: one array, or a tuple."""
    variables = [
        relay.var(f"v{index}", shape=value.shape, dtype=str(value.dtype)) for index, value in enumerate(inputs)
    ]
    body = build(*variables)
    body = body.astuple() if isinstance(body, relay.TupleWrapper) else body
    module = tvm.IRModule.from_expr(relay.Function(variables, body))
    module = relay.transform.InferType()(module)
    found = evaluate(module, {f"v{index}": value for index, value in enumerate(inputs)})
    return found[0] if len(found) == 1 else found


def random(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Standard normal float32, an array also where the shape is ()."""
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), np.float32)
