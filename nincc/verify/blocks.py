"""Errors per block, from a second build whose block ends are outputs.

The shipped library fuses across block ends and never stores some of their maps, so it cannot be asked for
them.  The second build is the same net with those maps as further outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nincc.frontend.model import Model
from nincc.verify.certificate import TensorError
from nincc.verify.compare import LOGITS, compare
from nincc.verify.inputs import InputSet
from nincc.verify.judge import Run
from nincc.verify.reference import Float64


def block_errors(
    model: Model, relay_module: Any, block_names: Sequence[str], inputs: InputSet, run: Run
) -> tuple[TensorError, ...]:
    """The error of each tensor in ``block_names``, in their order, on one input set.

    ``model`` has these tensors among its outputs (``frontend.with_outputs``), ``relay_module`` is it as
    imported, ``run`` is it as compiled.  A block is compared relative to its own largest value, with the
    limit of a logit.
    """
    named = {spec.name: array for spec, array in zip(model.inputs, inputs.arrays, strict=True)}
    expected = Float64(model, relay_module).run(named)
    found = dict(zip(expected, run(inputs.arrays), strict=True))
    return tuple(
        TensorError.of(name, inputs.kind, compare(found[name], expected[name], LOGITS)) for name in block_names
    )
