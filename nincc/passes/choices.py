"""Which kernel and which knobs: the one place where passes ask the tuned records and, where there is none, the rule.

Work is shared among as many tasks as the options allow threads, but a task gets at least ``TASK_CYCLES``: below
that, waking a thread takes longer than the work.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nincc.gpu_target import GpuTarget
from nincc.kernels.chain_spec import Chain
from nincc.kernels.cost import Core
from nincc.kernels.error_table import direct_error
from nincc.kernels.pack_weights import pack_conv2d
from nincc.kernels.rule import ConvChoice, pick_conv, winograd_knobs
from nincc.kernels.spec import Conv
from nincc.kernels.winograd_weights import pack_winograd
from nincc.options import CompileOptions
from nincc.passes.graph import Array
from nincc.records.book import Found, book_for
from nincc.records.chain_space import ChainSpace
from nincc.records.spaces import space_of
from nincc.records.task import task_for
from nincc.records.workload import Workload, chain_workload, conv_workload, gemm_pool_workload, gemm_workload
from nincc.target import Target

TASK_CYCLES = 8000
"""Some 2 µs: what starting a parallel loop costs, and as much work again."""

GPU_KNOBS: dict[str, Any] = {"mr": 1, "tasks": 1}
ONE_EACH = "a thread for each output"
RULE, RECORD = "rule: ", "record "


def choose_conv(conv: Conv, options: CompileOptions) -> ConvChoice:
    """The algorithm and the knobs of a convolution."""
    if isinstance(options.target, GpuTarget):
        depth = conv.kernel[0] * conv.kernel[1] * conv.channels
        return ConvChoice("nincc.conv2d", GPU_KNOBS, direct_error(depth), 0.0, ONE_EACH)
    found = _record(conv_workload(conv), options)
    return rule_conv(conv, options) if found is None else _recorded_conv(conv, found, options)


def rule_conv(conv: Conv, options: CompileOptions) -> ConvChoice:
    """What the cost rule says of a convolution for a CPU."""
    assert isinstance(options.target, Target)
    return pick_conv(
        conv,
        options.target,
        threads=options.threads,
        error_budget=options.error_budget,
        optimize=options.optimize,
    )


def _recorded_conv(conv: Conv, found: Found, options: CompileOptions) -> ConvChoice:
    """The convolution as a record says; the tasks are those of this compile."""
    assert isinstance(options.target, Target)
    space = space_of(task_for(conv_workload(conv), options.target, options.threads))
    knobs = found.timed.entry.knobs
    plan = space.plan(knobs)
    if plan is None:
        only = {"mr": knobs["mr"], "tasks": options.threads}
        return ConvChoice("nincc.conv2d", only, found.error, 0.0, found.reason)
    return ConvChoice("nincc.conv2d_winograd", winograd_knobs(plan), found.error, 0.0, found.reason, plan)


def tuned_chain(chain: Chain, options: CompileOptions) -> tuple[Chain, Found | None]:
    """A chain of 1×1 convolutions as a record says, and that record; as it is where there is none."""
    assert isinstance(options.target, Target)
    first = chain.layers[0]
    workload = chain_workload(chain.rows, first.depth, [layer.units for layer in chain.layers])
    found = _record(workload, options)
    if found is None:
        return chain, None
    space = space_of(task_for(workload, options.target, chain.tasks))
    assert isinstance(space, ChainSpace)
    cut = space.chain(found.timed.entry.knobs)
    pairs = zip(cut.layers, chain.layers, strict=True)
    layers = tuple(replace(mine, activation=real.activation) for mine, real in pairs)
    return replace(cut, layers=layers, tasks=min(chain.tasks, cut.tiles)), found


def reason_of(choice: ConvChoice) -> str:
    """Where a choice comes from: a record, else the rule."""
    return choice.reason if choice.reason.startswith(RECORD) else f"{RULE}{choice.reason}"


def _record(workload: Workload, options: CompileOptions) -> Found | None:
    """The best tuned record of a workload within the options."""
    return book_for(options).find(workload, options)


def packed_weight(weight: Array, choice: ConvChoice, options: CompileOptions) -> Array:
    """The OIHW weight as the chosen kernel reads it."""
    if choice.plan is None:
        return pack_conv2d(weight, options.target.panel)
    return pack_winograd(weight, choice.plan)


def gemm_knobs(rows: int, depth: int, units: int, options: CompileOptions) -> dict[str, Any]:
    """``nincc.gemm`` of [rows, depth]·[depth, units]: its register tile, the order of its walk, its tasks."""
    if isinstance(options.target, GpuTarget):
        return {**GPU_KNOBS, "order": "mn", "block": 0, "reason": f"rule: {ONE_EACH}", "error": direct_error(depth)}
    cycles = _product_cycles(rows, depth, units, options)
    rule = {**rule_gemm_knobs(rows, depth, units, options), "tasks": tasks_for(cycles, options)}
    return _tuned(gemm_workload(rows, depth, units), rule, options)


def rule_gemm_knobs(rows: int, depth: int, units: int, options: CompileOptions) -> dict[str, Any]:
    """What the cost rule says of a product for a CPU, but for its tasks."""
    assert isinstance(options.target, Target)
    core = Core(options.target)
    mr = core.best_rows(rows, depth)
    block = core.row_block(rows, mr, depth, units)
    return {
        "mr": mr,
        "order": "nm",
        "block": block,
        "reason": f"rule: {mr} pixels a register tile, {block * mr} pixels by all units before the next ones",
        "error": direct_error(depth),
    }


def gemm_pool_knobs(batch: int, pixels: int, depth: int, units: int, options: CompileOptions) -> dict[str, Any]:
    """``nincc.gemm_pool`` over ``pixels`` of each of ``batch`` images."""
    if isinstance(options.target, GpuTarget):
        return {**GPU_KNOBS, "reason": f"rule: {ONE_EACH}", "error": direct_error(depth)}
    cycles = _product_cycles(batch * pixels, depth, units, options)
    rule = {**rule_gemm_pool_knobs(pixels, depth, options), "tasks": tasks_for(cycles, options)}
    return _tuned(gemm_pool_workload(batch, pixels, depth, units), rule, options)


def rule_gemm_pool_knobs(pixels: int, depth: int, options: CompileOptions) -> dict[str, Any]:
    """What the cost rule says of a product with the mean on top for a CPU, but for its tasks."""
    assert isinstance(options.target, Target)
    mr = Core(options.target).best_rows(pixels, depth)
    return {"mr": mr, "reason": f"rule: {mr} pixels a register tile", "error": direct_error(depth)}


def _tuned(workload: Workload, rule: dict[str, Any], options: CompileOptions) -> dict[str, Any]:
    """The rule's attributes of a product, with a record's knobs in the place of its own where there is one."""
    found = _record(workload, options)
    return rule if found is None else {**rule, **found.timed.entry.knobs, "reason": found.reason}


def _product_cycles(rows: int, depth: int, units: int, options: CompileOptions) -> float:
    """Cycles of a product at the speed of two vector pipes."""
    return rows * depth * units / (2 * options.target.lanes)


def tasks_for(cycles: float, options: CompileOptions) -> int:
    """How many tasks are worth ``cycles`` of work (a float moved or pooled takes about one)."""
    return max(1, min(options.threads, int(cycles // TASK_CYCLES)))
