"""The tasks as AutoTVM templates: importing this module registers them.

A template defines the space and lowers any point of it through the very kernels that a compile uses.
"""

from __future__ import annotations

from typing import Any

from nincc._tvm import tvm
from nincc.kernels.conv2d import conv2d
from nincc.kernels.cuda.block import mlpconv
from nincc.kernels.cuda.plan_attrs import plan_attrs
from nincc.kernels.gemm import gemm, gemm_pool
from nincc.kernels.gemm_chain import gemm_chain
from nincc.kernels.spec import round_up
from nincc.kernels.winograd import conv2d_winograd
from nincc.passes.choices import TASK_CYCLES
from nincc.records.chain_space import ChainSpace
from nincc.records.conv_space import ConvSpace
from nincc.records.launch_space import LaunchSpace
from nincc.records.space import Knobs, Space
from nincc.records.spaces import space_of
from nincc.records.task import Task, parse_task
from nincc.records.versions import VERSIONS
from nincc.records.workload import CHAIN, CONV, GEMM, GEMM_POOL, KINDS

te = tvm.te
autotvm = tvm.autotvm

Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def create_task(task: Task, machine: Any) -> Any:
    """AutoTVM's task, with its space, for TVM's target ``machine``."""
    return autotvm.task.create(task.name, list(task.args), machine)


def config_of(tvm_task: Any, knobs: Knobs) -> Any:
    """The point of a task's space with these knobs."""
    space = tvm_task.config_space
    index, step = 0, 1
    for name, options in space.space_map.items():
        values = [entity.val for entity in options.entities]
        index += step * values.index(knobs[name])
        step *= len(values)
    return space.get(index)


def _template(kind: str, version: int) -> None:
    name = f"nincc.{kind}/{version}"

    def lowered(*args: Any) -> Any:
        space = space_of(parse_task(name, args))
        config = autotvm.get_config()
        for knob, candidates in space.candidates.items():
            config.define_knob(knob, candidates)
        config.add_flop(2 * space.task.workload.macs)
        knobs = {knob: config[knob].val for knob in space.candidates}
        if isinstance(space, LaunchSpace):
            return launch_schedule(space, knobs)
        config.multi_filter(lambda point: space.allows({knob: point[knob].val for knob in space.candidates}))
        return schedule(space, knobs)

    autotvm.template(name)(lowered)


for _kind in KINDS:
    for _version in set(VERSIONS.values()):
        _template(_kind, _version)


def schedule(space: Space, knobs: Knobs) -> Any:
    """The kernel of these knobs as a TE schedule, and its tensors: data, weight, bias, output."""
    names = ("data", "weight", "bias")
    inputs = [te.placeholder(shape, name=name) for shape, name in zip(shapes(space, knobs), names, strict=True)]
    output = _kernel(space, knobs)(*inputs, attributes(space, knobs))
    return te.create_schedule(output.op), [*inputs, output]


def launch_schedule(space: LaunchSpace, knobs: Knobs) -> Any:
    """A launch as a TE schedule, and its tensors: data, weights, output.

    AutoTVM asks with the first value of each knob when it collects the space, which need be no kernel: it gets one.
    """
    plan = space.launch(knobs) or space.launch(space.example)
    assert plan is not None
    conv = plan.conv
    pixel = (round_up(conv.channels, conv.lanes),)
    maps = (conv.channels, *conv.size) if conv.layout == "NCHW" else (*conv.size, *pixel)
    shape = (*((plan.partials,) if plan.partials else ()), conv.batch, *maps)
    length = plan.weight_offset(len(plan.stages))
    data, weights = te.placeholder(shape, name="data"), te.placeholder((length,), name="weights")
    output = mlpconv(data, weights, plan_attrs(plan))
    return te.create_schedule(output.op), [data, weights, output]


def _kernel(space: Space, knobs: Knobs) -> Any:
    if space.task.workload.kind == CONV:
        return conv2d if space.plan(knobs) is None else conv2d_winograd
    return {GEMM: gemm, GEMM_POOL: gemm_pool, CHAIN: gemm_chain}[space.task.workload.kind]


def shapes(space: Space, knobs: Knobs) -> Shapes:
    """The shapes of data, weight and bias as the kernel reads them."""
    task = space.task
    panel = 2 * task.lanes
    _, depth, units = task.workload.product
    panels = -(-units // panel)
    if isinstance(space, ChainSpace):
        rows, depth, _ = task.workload.args
        layers = space.chain(knobs).layers
        weights, biases = sum(layer.weight_rows for layer in layers), sum(layer.panels * panel for layer in layers)
        return (1, 1, rows, round_up(depth, task.lanes)), (weights, panel), (biases,)
    if isinstance(space, ConvSpace):
        conv, plan = space.conv, space.plan(knobs)
        size = conv.size if conv.layout == "NHWC" else ()
        data = (conv.batch, *size, conv.source_channels, *(() if size else conv.size))
        weight = (panels, depth, panel) if plan is None else (panels * plan.elements, plan.depth, panel)
    else:
        batch = task.workload.args[0] if task.workload.kind != GEMM else 1
        data = (batch, 1, task.workload.args[0 if task.workload.kind == GEMM else 1], round_up(depth, task.lanes))
        weight = (panels, depth, panel)
    return data, weight, (panels * panel,)


def attributes(space: Space, knobs: Knobs) -> dict[str, Any]:
    """What the kernel reads of its operator's attributes."""
    task = space.task
    _, depth, units = task.workload.product
    common = {"units": units, "activation": "relu", "lanes": task.lanes, "mr": knobs["mr"]}
    if not isinstance(space, ConvSpace):
        # As the passes share a product among tasks: nincc.passes.choices.
        tasks = max(1, min(task.threads, task.workload.macs // (2 * task.lanes) // TASK_CYCLES))
        if isinstance(space, ChainSpace):
            return {**common, **_chain_attributes(space, knobs), "tasks": tasks}
        return {**common, "channels": depth, "tasks": tasks, **{k: knobs[k] for k in ("order", "block") if k in knobs}}
    conv, plan = space.conv, space.plan(knobs)
    blocking = {name: knobs[name] for name in ("m", "tile_block", "unit_block", "order")} if plan else {}
    return {
        **common, "layout": conv.layout, "channels": conv.channels, "kernel": conv.kernel, "strides": conv.strides,
        "padding": conv.padding, "dilation": conv.dilation, "pool": str(conv.pool or ""), "tasks": task.threads,
        **blocking, **({"r": plan.r} if plan else {}),
    }  # fmt: skip


def _chain_attributes(space: ChainSpace, knobs: Knobs) -> dict[str, Any]:
    _, depth, units = space.task.workload.args
    return {
        "channels": depth,
        "units": list(units),
        "activations": ["relu"] * len(units),
        "strassen": [int(digit) for digit in str(knobs["strassen"])],
        "block": knobs["block"],
    }
