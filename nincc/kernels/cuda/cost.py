"""What a launch takes on a target's reference card: instructions, bytes and clocks, by the plan alone.  No TVM.

The model counts what one thread does, layer by layer, then asks which of a multiprocessor's pipes is the
narrowest: instruction issue, FMA, shared memory or the way to the L2 cache; and how long one block takes by
itself, when there are too few blocks to fill the card.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from nincc.gpu_target import MOST_REGISTERS, WARP, GpuTarget, fma_lanes, reserved_shared
from nincc.kernels.cuda.energy import SCHEDULERS, frugal, issue_clocks
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.sharing import sharing_rounds
from nincc.kernels.cuda.stage import QUAD, Stage, written_out
from nincc.kernels.spec import round_up

OTHER = 2.0
"""Clocks of an instruction that is no multiply-add: loads keep their pipe busy for longer than one."""
OVERLAP = 4
"""The exponent that joins the times of pipes that work side by side: 1 would add them up, ∞ take the longest."""
L2_BYTES = 48
"""Bytes an SM gets from L2 each clock: 5,120 for 108 SMs.  Source: NVIDIA's A100 architecture whitepaper."""
WAITING = 0.2
"""What a scheduler with a single warp loses by waiting for loads, as a share of its work; two warps lose half of it."""
FETCH = 700
"""Clocks of staging: from memory to registers to shared memory, and the barrier."""
BARRIER = 40
SPARE_REGISTERS = 88
"""What a thread needs besides its sums, so that ptxas (13.0) spills nothing."""
LAUNCH = 3000
"""Clocks between two launches of a graph, ramping up and down included."""


@dataclass(frozen=True)
class StageCost:
    """One layer: instructions of a thread that computes (``fma`` of them multiply-adds), and of one that only adds up.

    ``wavefronts`` are clocks of shared memory, of the whole block; ``bytes`` what the block's weights are.
    """

    fma: int
    other: int
    spread: int
    wavefronts: int
    bytes: int
    barriers: int


@dataclass(frozen=True)
class LaunchCost:
    """The cost of ``plan`` on ``target``'s card."""

    plan: Plan
    target: GpuTarget

    @cached_property
    def stages(self) -> tuple[StageCost, ...]:
        return tuple(stage_cost(self.plan, number) for number in range(len(self.plan.stages)))

    @cached_property
    def staging(self) -> int:
        """Instructions of a thread to stage one chunk."""
        return staging_instructions(self.plan)

    @property
    def longest(self) -> int:
        """Instructions of the busiest thread."""
        return PROLOGUE + self.plan.chunks * self.staging + sum(s.fma + s.other + s.spread for s in self.stages)

    @property
    def block_instructions(self) -> int:
        """Instructions of a block, by warps."""
        warps = -(-self.plan.threads // WARP)
        total = (PROLOGUE + self.plan.chunks * self.staging) * warps
        for stage, cost in zip(self.plan.stages, self.stages, strict=True):
            working = -(-self.plan.workers(stage) // WARP)
            total += (cost.fma + cost.other) * working + cost.spread * warps
        return total

    @property
    def instructions(self) -> int:
        """Instructions of all threads."""
        return self.block_instructions * WARP * self.plan.blocks

    @property
    def registers(self) -> int:
        """A thread's registers, estimated: the sums, a step's weights, an activation, addresses."""
        return max(s.pixels * s.columns + QUAD * s.columns * 3 // 2 + 32 for s in self.plan.stages)

    @property
    def resident(self) -> int:
        """Blocks that an SM holds at a time; 0 where not even one fits."""
        target, plan = self.target, self.plan
        warps = -(-plan.threads // WARP)
        limits = [target.blocks, target.threads // (warps * WARP)]
        limits.append(target.registers // (round_up(self.registers, 8) * WARP * warps))
        limits.append(target.shared_per_sm // (plan.shared_bytes + reserved_shared(target.sm)))
        return 0 if plan.shared_bytes > target.shared_per_block or self.spills else min(limits)

    @property
    def spills(self) -> bool:
        """Whether the block has so many threads that each gets fewer registers than it needs.

        A scheduler has its own share of the registers: the one with most of the block's warps decides.
        """
        most = self.target.registers // round_up(self.plan.threads, WARP * SCHEDULERS)
        return most <= MOST_REGISTERS and max(s.pixels * s.columns for s in self.plan.stages) + SPARE_REGISTERS > most

    @property
    def staged_bytes(self) -> int:
        """Bytes that a block reads to stage its input."""
        plan, conv = self.plan, self.plan.conv
        if plan.gather == "columns":
            return plan.pixels * plan.chunk * plan.chunks * 4
        pool = math.prod(conv.pool.kernel) if conv.pool else 1
        return plan.patch.rows * plan.patch.cols * plan.chunk * plan.chunks * 4 * pool * max(1, plan.partials)

    @property
    def read_bytes(self) -> int:
        """Bytes that all blocks read, if each fetches its input and its weights once."""
        return (self.staged_bytes + sum(cost.bytes for cost in self.stages)) * self.plan.blocks

    @property
    def score(self) -> float:
        """What the rule chooses by."""
        return frugal(self.clocks, issue_clocks(self.instructions, self.target))

    @property
    def stored_bytes(self) -> int:
        """Bytes that a block writes."""
        plan = self.plan
        return (plan.pixels if plan.epilogue == "map" else 1) * plan.block_width(plan.stages[-1]) * 4

    @property
    def each(self) -> int:
        """Blocks that the busiest multiprocessor runs."""
        return -(-self.plan.blocks // self.target.sm_count)

    @property
    def together(self) -> int:
        """Blocks that it runs at a time."""
        return min(self.each, self.resident)

    @property
    def rounds(self) -> int:
        """How many such groups of blocks it runs one after another."""
        return -(-self.each // self.together)

    @property
    def waiting(self) -> float:
        """How much longer a scheduler takes for the loads that its warps cannot hide; 1 where they hide all."""
        return 1 + WAITING * WARP * SCHEDULERS / (self.together * self.plan.threads)

    @property
    def stalls(self) -> float:
        """Clocks that a block stands still: staging its input, and at barriers."""
        return self.plan.chunks * FETCH / min(self.together, 2) + sum(c.barriers for c in self.stages) * BARRIER

    @property
    def clocks(self) -> float:
        """Clocks from one launch to the next."""
        target, plan = self.target, self.plan
        if self.resident == 0:
            return math.inf
        rate = WARP * SCHEDULERS / fma_lanes(target.sm)
        multiplied = sum(c.fma * -(-plan.workers(s) // WARP) for s, c in zip(plan.stages, self.stages, strict=True))
        pipes = (
            (OTHER * self.block_instructions + (rate - OTHER) * multiplied) / SCHEDULERS * self.waiting,
            sum(cost.wavefronts for cost in self.stages),
            (self.read_bytes / plan.blocks + self.stored_bytes) / L2_BYTES,
        )
        busy = sum(pipe**OVERLAP for pipe in pipes) ** (1 / OVERLAP)
        alone = (OTHER * self.longest + (rate - OTHER) * sum(cost.fma for cost in self.stages)) * self.waiting
        return max(self.each * busy, self.rounds * (alone + self.stalls)) + LAUNCH


COLUMN = 10
"""Instructions for an element of the im2col matrix, where the tile is one row; else its row is to be found."""
POOLED = 10
"""Instructions of a thread for each element of a pool's window: its place, a load, four comparisons."""
SUMMED = 5
"""Instructions of a thread to add four channels of a further partial sum: their place, a load, four additions."""
PROLOGUE = 40
"""Instructions of a thread to find its place."""


def least_clocks(blocks: int, work: float, threads: int, stage: Stage, target: GpuTarget) -> float:
    """Clocks that a launch takes at least: ``work`` multiply-adds a block, and the loads of ``stage``'s tile."""
    rate = WARP * SCHEDULERS / fma_lanes(target.sm)
    each = -(-blocks // target.sm_count)
    together = min(each, max(1, target.threads // threads))
    loads = (stage.pixels + stage.columns) / (QUAD * stage.pixels * stage.columns)
    waiting = 1 + WAITING * WARP * SCHEDULERS / (together * threads)
    spent = work / WARP * (rate + OTHER * loads) * waiting
    return each * max(spent / SCHEDULERS, spent * WARP / threads / together) + LAUNCH


def stage_cost(plan: Plan, number: int) -> StageCost:
    """Layer ``number`` of ``plan``."""
    stage = plan.stages[number]
    runs, quads = 1, stage.depth // stage.shares // QUAD
    if number == 0:
        quads = plan.chunk // stage.shares // QUAD
        runs = plan.chunks * plan.kernel_rows * (plan.conv.kernel[1] if plan.taps > 1 else 1)
    steps = runs * quads
    turns = runs * (quads // written_out(quads, stage))
    warps = -(-plan.workers(stage) // WARP)
    size = stage.pixels * stage.columns
    fma = steps * QUAD * size
    other = steps * (stage.pixels + stage.columns) + 5 * turns + 6 * runs + size
    finish, spread, waves = _finish(plan, number)
    read = steps * stage.pixels * warps * QUAD
    rows = steps * QUAD * stage.shares
    copies = max(1, plan.pixel_lanes(stage) // WARP)
    return StageCost(
        fma, other + finish, spread, read + waves, rows * plan.block_width(stage) * 4 * copies,
        2 * plan.rounds(stage) + 1,
    )  # fmt: skip


def _finish(plan: Plan, number: int) -> tuple[int, int, int]:
    """Instructions of a computing thread and of any, and clocks of shared memory, to finish a layer's sums."""
    stage = plan.stages[number]
    quads = plan.pixels * plan.block_width(stage) // QUAD
    last = number == len(plan.stages) - 1
    per_quad = 9 + (2 if last and plan.flat == "no" else 0)
    stores = 0 if last and plan.epilogue == "map" else quads * QUAD // WARP
    if stage.shares == 1:
        return stage.pixels * stage.columns // QUAD * per_quad + 20, 0, stores
    rounds = plan.rounds(stage)
    mine = sharing_rounds(plan.pixels // rounds, plan.adding_quads(stage), plan.threads) * rounds
    each = stage.shares + QUAD * (stage.shares - 1) + per_quad
    traffic = 2 * quads * stage.shares * QUAD // WARP
    return stage.pixels * stage.columns // QUAD + 10, mine * each + 20, traffic + stores


def staging_instructions(plan: Plan) -> int:
    """Instructions of the busiest thread to stage a chunk."""
    conv = plan.conv
    if plan.gather == "columns":
        each = COLUMN if plan.tile[0] == 1 else 2 * COLUMN
        return 30 + sharing_rounds(plan.pixels, plan.patch.pixel, plan.threads) * each
    each = 12 + (4 if any(conv.padding) else 0) + SUMMED * max(0, plan.partials - 1)
    if conv.pool:
        each += math.prod(conv.pool.kernel) * POOLED
    return 15 + sharing_rounds(plan.patch.rows * plan.patch.cols, plan.staging_quads, plan.threads) * each
