"""Explains a compile without doing it: what each pass did, and how each kernel will run and why."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nincc.codegen.child import compile_in_child
from nincc.codegen.program import Launch, Resources
from nincc.frontend import Model, to_relay
from nincc.gpu_target import GpuTarget
from nincc.options import CompileOptions
from nincc.passes.explain import KernelPlan, kernel_plans
from nincc.passes.pipeline import optimize
from nincc.passes.record import PassRecord


@dataclass(frozen=True)
class Launched:
    """One launch of a GPU net.  ``resources`` is what the assembler says, None where none is at hand."""

    kernel: str
    layer: str
    launch: Launch
    resources: Resources | None


@dataclass(frozen=True)
class Explanation:
    """The passes in order, then the operators in the order they run, and for a GPU the launches they become."""

    passes: tuple[PassRecord, ...]
    kernels: tuple[KernelPlan, ...]
    launches: tuple[Launched, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "passes": [
                {"pass": record.pass_name, "changed": record.changed, "declined": record.declined}
                for record in self.passes
            ],
            "kernels": [asdict(plan) for plan in self.kernels],
            **({"launches": [asdict(one) for one in self.launches]} if self.launches else {}),
        }


def explain_model(model: Model, options: CompileOptions) -> Explanation:
    """Runs the frontend and the passes; code generation for a GPU only, whose launches it shows."""
    module, records = optimize(to_relay(model), options)
    return Explanation(tuple(records), kernel_plans(module), _launches(model, options))


def _launches(model: Model, options: CompileOptions) -> tuple[Launched, ...]:
    if not isinstance(options.target, GpuTarget):
        return ()
    with tempfile.TemporaryDirectory(prefix="nincc-explain-") as work:
        program = compile_in_child(model, replace(options, dump_ir=None), Path(work)).program
    resources = program.device.resources if program.device else {}
    return tuple(
        Launched(step.kernel, step.layer or step.op, step.launch, resources.get(step.kernel))
        for step in program.steps
        if step.launch is not None
    )
