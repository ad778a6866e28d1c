"""PickConvAlgorithm's cost rule: the algorithm and the knobs of a convolution, from the target and the layer alone.

Every plan whose predicted error fits the budget is costed (:mod:`nincc.kernels.cost`); the cheapest wins.  The rule
never measures; tuned records refine it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from nincc.kernels.cost import Core, WinogradCost, direct_cycles, vector_cycles
from nincc.kernels.error_table import WINOGRAD, direct_error, winograd_error
from nincc.kernels.spec import Conv, round_up
from nincc.kernels.winograd_spec import ORDERS, Winograd, is_winograd_shape, phase_taps
from nincc.target import Target

Knob = int | str
LARGEST_V = 4
"""Blocks of transformed tiles are at most this many times the L2 cache."""
SMALLEST_BLOCK = 4
"""Tiles of the smallest block worth costing: half a register tile."""
LARGEST_UNIT_BLOCK = 8
"""Panels of the largest block of units worth costing."""
ERROR_PRICE = 0.1
"""Share of the time that an error as large as the budget is held to cost: errors of layers add up."""
MEMORY_PRICE = 0.01
"""Share of the time that a block of transformed tiles and products as large as the L2 cache is held to cost."""
CROSSING_RATE = 8.0
"""Bytes a cycle that a core reads from another's cache: less than where both have one last cache, more than else."""
GAIN = 0.95
"""Winograd, with its larger weights, must take less than this share of direct convolution's time."""


@dataclass(frozen=True)
class ConvChoice:
    """A convolution's algorithm: ``operator`` and ``knobs`` are the Relay call's name and attributes.

    ``error`` is the predicted float32 error as a share of the layer's largest output, ``cycles`` the predicted
    cycles on one core, ``plan`` the cut of a Winograd convolution (None: direct), ``reason`` the rule's words.
    """

    operator: str
    knobs: dict[str, Knob]
    error: float
    cycles: float
    reason: str
    plan: Winograd | None = field(default=None, compare=False)


def pick_conv(
    conv: Conv,
    target: Target,
    *,
    threads: int = 1,
    error_budget: float = 1e-5,
    optimize: Literal["speed", "size"] = "speed",
) -> ConvChoice:
    """The cheapest algorithm for ``conv`` whose error fits the budget; ``conv``'s mr and tasks are ignored.

    ``optimize="size"`` keeps weights at their ONNX size, which Winograd's never are.
    """
    core = Core(target)
    conv = replace(conv, lanes=target.lanes, tasks=threads)
    direct = _direct(core, conv)
    if optimize == "size":
        return _because(direct, "direct: keeps weights at their ONNX size")
    if not is_winograd_shape(conv):
        return _because(direct, "direct: Winograd wants a square, undilated kernel of more than one tap a stride")
    if conv.strides[0] > 1 and conv.pool is not None and conv.layout == "NCHW":
        return _because(direct, "direct: a pooled, strided read of planes")
    options = list(_winograd_plans(core, conv, error_budget))
    if not options:
        return _because(direct, f"direct: every Winograd error is above the budget of {error_budget:g}")
    best = min(options, key=lambda plan: _cost(core, plan, error_budget))
    cycles = WinogradCost(core, best).total
    share = cycles / direct.cycles
    if share > GAIN:
        return _because(direct, f"direct: Winograd F({best.m}, {best.r}) would take {share:.2f} of its time")
    return _winograd(best, cycles, f"F({best.m}, {best.r}): {share:.2f} of direct convolution's time")


def winograd_knobs(plan: Winograd) -> dict[str, Knob]:
    """The attributes that a Winograd plan adds to the convolution's own."""
    return {
        "m": plan.m, "r": plan.r, "tile_block": plan.tile_block, "unit_block": plan.unit_block,
        "order": plan.order, "mr": plan.conv.mr, "tasks": plan.conv.tasks,
    }  # fmt: skip


def _direct(core: Core, conv: Conv) -> ConvChoice:
    rows, cols = conv.out_size
    depth = conv.kernel[0] * conv.kernel[1] * conv.channels
    knobs: dict[str, Knob] = {"mr": core.best_rows(conv.batch * rows * cols, depth), "tasks": conv.tasks}
    return ConvChoice("nincc.conv2d", knobs, direct_error(depth), direct_cycles(core, conv), "direct")


def _winograd(plan: Winograd, cycles: float, reason: str) -> ConvChoice:
    error = winograd_error(plan.m, plan.r, plan.depth)
    return ConvChoice("nincc.conv2d_winograd", winograd_knobs(plan), error, cycles, reason, plan)


def _because(choice: ConvChoice, reason: str) -> ConvChoice:
    return replace(choice, reason=reason)


def _winograd_plans(core: Core, conv: Conv, error_budget: float) -> Iterator[Winograd]:
    """Every plan worth costing: tile sizes within the budget, a few blockings and all orders."""
    r, panel = phase_taps(conv), core.target.panel
    panels = -(-conv.units // panel)
    for m, taps in WINOGRAD:
        whole = Winograd(conv, m, r, 1, panel, "tile")
        if taps != r or winograd_error(m, r, whole.depth) > error_budget:
            continue
        for order in ORDERS if conv.batch > 1 else ("tile", "unit"):
            for tile_block in _tile_blocks(core, replace(whole, order=order)):
                mr = core.best_rows(tile_block, whole.depth)
                for count in unit_panels(panels):
                    yield Winograd(replace(conv, mr=mr), m, r, tile_block, count * panel, order)


def unit_panels(panels: int) -> list[int]:
    """Panels of a block of units worth costing: a few, preferably ones that leave no smaller block at the end."""
    even = {count for count in range(1, LARGEST_UNIT_BLOCK + 1) if panels % count == 0}
    return sorted(even | {min(count, panels) for count in (1, 2, 4, LARGEST_UNIT_BLOCK)})


def _tile_blocks(core: Core, plan: Winograd) -> list[int]:
    """Sizes that cut the tiles evenly, as far as a block's V is of a sensible size.

    In order "image" a block is part of an image or some whole images, else any part of the batch.
    """
    tile_bytes = plan.elements * round_up(plan.depth, core.target.lanes) * 4
    largest = max(1, LARGEST_V * core.target.l2 // tile_bytes)
    if plan.order != "image":
        return _even_cuts(plan.tiles, largest)
    image = plan.grid[0] * plan.grid[1]
    whole = [image * count for count in (2, 3, 4, 6, 8, 12, 16) if count <= plan.conv.batch]
    return [*_even_cuts(image, largest), *(size for size in whole if size <= largest)]


def _even_cuts(tiles: int, largest: int) -> list[int]:
    """Sizes up to ``largest`` of 1, 2, 3 … nearly equal blocks of ``tiles``, in steps of a quarter."""
    sizes: list[int] = []
    blocks = -(-tiles // largest)
    while not sizes or sizes[-1] > SMALLEST_BLOCK:
        sizes.append(-(-tiles // blocks))
        blocks = max(blocks + 1, blocks * 5 // 4)
    return sizes


def _cost(core: Core, plan: Winograd, error_budget: float) -> float:
    """Cycles, the mean for every count of threads, with a little on top for error and memory."""
    tasks = plan.conv.tasks
    threads = [count for count in (1, 2, 4, 8, 16, 32) if count < tasks] + [tasks]
    uneven = sum(imbalance(plan, count) for count in threads) / len(threads)
    error = winograd_error(plan.m, plan.r, plan.depth) / error_budget
    memory = (plan.v_size + plan.m_size) * 4 / core.target.l2
    extra = ERROR_PRICE * error + MEMORY_PRICE * memory
    return WinogradCost(core, plan).total * uneven * (1 + extra)


def imbalance(plan: Winograd, threads: int) -> float:
    """The time of ``threads`` threads as a multiple of an even share of one thread's.

    The busiest one has more than its share, and in order "unit" each reads from the others' caches the tiles that
    they have transformed.
    """
    passed = plan.tile_blocks * plan.v_size * 4 * (threads - 1) if plan.order == "unit" else 0
    products = plan.tile_blocks * plan.tile_block * plan.elements * plan.depth * 2 * plan.panels
    return busiest(plan, threads) + passed / CROSSING_RATE / (products * vector_cycles(plan.conv.lanes))


def busiest(plan: Winograd, threads: int) -> float:
    """The share of a plan's products that the busiest of ``threads`` threads has, as a multiple of an even share.

    Tasks begin with runs of items, as even as whole ones can be; that they help each other then is not counted.
    """
    tasks, items = plan.conv.tasks, _items(plan)
    used = min(tasks, items)
    ends = [_done(plan, min(thread * tasks // threads, used) * items // used) for thread in range(threads + 1)]
    return max(after - before for before, after in pairwise(ends)) * threads / ends[-1]


def _items(plan: Winograd) -> int:
    """What tasks share: groups of images, blocks of tiles, or blocks of units for each block of tiles."""
    if plan.order == "image":
        return plan.groups
    return plan.tile_blocks * (plan.unit_blocks if plan.order == "unit" else 1)


def _done(plan: Winograd, items: int) -> int:
    """The work in the first ``items`` items: the last block of units may be smaller than the others."""
    if plan.order != "unit":
        return items
    blocks, rest = divmod(items, plan.tile_blocks)
    before = min(blocks * plan.block_panels, plan.panels)
    return before * plan.tile_blocks + rest * min(plan.block_panels, plan.panels - before)
