"""The phases that Relay brings: simplified inference, constants folded, dead code dropped.

SimplifyInference turns dropout and the like into nothing, FoldConstant evaluates what depends on no input
(a transposed weight, a reshaped bias), DeadCodeElimination drops what no output needs.  All three keep the
names (spans) of the layers.  Batch normalisation and scales are nincc's own passes: Relay's lose the names.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Pass
from nincc.passes.graph import Graph, is_call
from nincc.passes.record import PassRecord

relay = tvm.relay


class Standard(Pass):
    """A Relay pass under the contract of ours; the record counts the operators it removed."""

    name: ClassVar[str]
    relay_pass: ClassVar[Any]

    def run(self, function: Any, options: CompileOptions, record: PassRecord) -> Any:
        """Relay's pass, alone."""
        with tvm.transform.PassContext(opt_level=3):
            module = self.relay_pass(tvm.IRModule.from_expr(function))
        rewritten = relay.transform.InferType()(module)["main"]
        gone = _operators(function) - _operators(rewritten)
        record.changed += [f"{count} {name} gone" for name, count in sorted(gone.items())]
        return rewritten


class SimplifyInference(Standard):
    """Training-time operators become what they are at inference."""

    name = "SimplifyInference"
    relay_pass = relay.transform.SimplifyInference()


class FoldConstant(Standard):
    """What depends on no input is computed now."""

    name = "FoldConstant"
    relay_pass = relay.transform.FoldConstant()


class DeadCodeElimination(Standard):
    """What no output needs is dropped."""

    name = "DeadCodeElimination"
    relay_pass = relay.transform.DeadCodeElimination(inline_once=True)


def _operators(function: Any) -> Counter[str]:
    nodes = Graph(function).nodes
    return Counter(str(node.op.name) for node in nodes if isinstance(node, relay.Call) and not is_call(node, "copy"))
