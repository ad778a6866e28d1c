"""Where the kernels' knobs came from: told after the passes, when it is known which kernels there are."""

from __future__ import annotations

from typing import Any

from nincc._tvm import tvm
from nincc.errors import UsageError
from nincc.gpu_target import GpuTarget
from nincc.options import CompileOptions
from nincc.passes.choices import RECORD, RULE
from nincc.passes.graph import Graph
from nincc.passes.packed import attributes
from nincc.passes.record import PassRecord
from nincc.records.book import book_for

relay = tvm.relay

TUNED = ("nincc.conv2d", "nincc.conv2d_winograd", "nincc.gemm", "nincc.gemm_pool", "nincc.gemm_chain")
"""The operators that have tasks to tune; the others' knobs are always the cost rule's."""
GPU_TUNED = ("nincc.cuda_mlpconv",)
"""Those of a GPU: its launches.  A layer that no launch takes has nothing to tune."""


def schedules_record(module: Any, options: CompileOptions) -> PassRecord:
    """A line for each kernel whose knobs a tuned record gave; declined are those that the rule chose, and records
    that cannot be used.

    UsageError with ``options.strict_schedules`` where the rule chose any.
    """
    record = PassRecord("Schedules")
    tuned = GPU_TUNED if isinstance(options.target, GpuTarget) else TUNED
    without: list[str] = []
    for node in Graph(module["main"]).nodes:
        if not (isinstance(node, relay.Call) and node.op.name in tuned):
            continue
        attrs = attributes(node)
        layer, reason = str(attrs["layer"]), str(attrs["reason"])
        if reason.startswith(RECORD):
            record.changed.append(f"{layer}: {reason}")
        elif reason.startswith(RULE):
            without.append(layer)
    record.declined += [f"{layer}: no record, the cost rule chose" for layer in without]
    record.declined += book_for(options).notes
    if options.strict_schedules and without:
        raise UsageError(
            f"no tuned record for {', '.join(without)}",
            where=options.target.name,
            hint="run 'nincc tune' and give its file as --schedules, or leave out --strict-schedules",
        )
    return record
