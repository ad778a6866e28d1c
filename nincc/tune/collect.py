"""The tasks of a net: what its kernels compute, each once, and what the cost rule would do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from nincc._tvm import tvm
from nincc.frontend import Model, to_relay
from nincc.kernels.cuda.plan_attrs import plan_of
from nincc.kernels.spec import conv_spec
from nincc.options import CompileOptions
from nincc.passes.graph import Graph, shape
from nincc.passes.packed import attributes
from nincc.passes.pipeline import optimize
from nincc.records.launch import launch_workload
from nincc.records.space import Knobs, Space
from nincc.records.spaces import space_of
from nincc.records.task import task_for
from nincc.records.workload import Workload, chain_workload, conv_workload, gemm_pool_workload, gemm_workload

relay = tvm.relay


@dataclass(frozen=True)
class NetTask:
    """A task and the layers of the net that it is; ``rule`` are the knobs of the cost rule."""

    space: Space
    layers: tuple[str, ...]
    rule: Knobs

    @property
    def workload(self) -> Workload:
        return self.space.task.workload


def collect(model: Model, options: CompileOptions) -> list[NetTask]:
    """The net's tasks in the order in which their first layers run.  ``options`` are those of the compile."""
    found: dict[Workload, NetTask] = {}
    plain = replace(options, schedules=None, shipped_schedules=False, strict_schedules=False, dump_ir=None)
    for task in kernels_of(model, plain):
        known = found.get(task.workload)
        found[task.workload] = task if known is None else replace(known, layers=(*known.layers, *task.layers))
    return list(found.values())


def kernels_of(model: Model, options: CompileOptions) -> list[NetTask]:
    """The tasks that the net's kernels are, a layer each, in order; ``rule`` are the knobs that a compile with
    ``options`` gives them, be they the cost rule's or a record's.
    """
    module, _ = optimize(to_relay(model), options)
    tasks = []
    for node in Graph(module["main"]).nodes:
        workload = _workload(node)
        if workload is not None:
            attrs = attributes(node)
            space = space_of(task_for(workload, options.target, options.threads))
            tasks.append(NetTask(space, (str(attrs["layer"]),), space.canonical(_plain(attrs))))
    return tasks


def _workload(node: Any) -> Workload | None:
    if not isinstance(node, relay.Call):
        return None
    name = node.op.name
    if name in ("nincc.conv2d", "nincc.conv2d_winograd"):
        return conv_workload(conv_spec(shape(node.args[0]), attributes(node)))
    if name == "nincc.cuda_mlpconv":
        return launch_workload(plan_of(shape(node.args[0]), attributes(node)))
    if name not in ("nincc.gemm", "nincc.gemm_pool", "nincc.gemm_chain"):
        return None
    attrs, (batch, height, width, _) = attributes(node), shape(node.args[0])
    depth = int(attrs["channels"])
    if name == "nincc.gemm_chain":
        return chain_workload(prod((batch, height, width)), depth, [int(units) for units in attrs["units"]])
    units = int(attrs["units"])
    if name == "nincc.gemm":
        return gemm_workload(prod((batch, height, width)), depth, units)
    return gemm_pool_workload(batch, height * width, depth, units)


def _plain(attrs: dict[str, Any]) -> dict[str, Any]:
    """The attributes that may be knobs, as Python values."""
    if "tile" in attrs:
        return attrs
    named = {name: attrs[name] for name in ("m", "mr", "tile_block", "unit_block", "order", "block") if name in attrs}
    plain: dict[str, Any] = {name: str(value) if name == "order" else int(value) for name, value in named.items()}
    if "strassen" in attrs:
        plain["strassen"] = "".join(str(int(flag)) for flag in attrs["strassen"])
    return plain
