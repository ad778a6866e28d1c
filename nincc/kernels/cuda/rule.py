"""The cost rule for a GPU: which layers share a launch, and how each launch is cut.  No TVM.

A run of layers is cut into launches in every way; each launch takes its cheapest plan by
:mod:`nincc.kernels.cuda.cost`; the cheapest cut wins.  The rule never measures; tuned records refine it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from nincc.gpu_target import GpuTarget
from nincc.kernels.cuda.candidates import Layer, Segment, drafts, finished
from nincc.kernels.cuda.cost import LaunchCost
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.shared import keeps_pace
from nincc.kernels.cuda.stage import QUAD
from nincc.kernels.spec import Conv, round_up

MOST_COSTED = 250
"""Drafts of a split whose plan is costed in full: the most promising ones."""
MOST_LAYERS = 4
"""Layers of one launch, at most."""


@dataclass(frozen=True)
class Run:
    """Layers one after another, each read by the next alone: ``conv`` is the first, the others are 1×1.

    ``head`` is what follows: nothing (""), the "mean" over each map, or the "softmax" of that.
    """

    conv: Conv
    layers: tuple[Layer, ...]
    head: str = ""


@dataclass(frozen=True)
class Choice:
    """A launch: its plan, the clocks it takes by the model, and the score by which it was chosen.

    ``reason`` says where the plan comes from if not from the rule: a tuned record.
    """

    plan: Plan
    clocks: float
    score: float
    reason: str = ""


def pick_launches(run: Run, target: GpuTarget) -> tuple[Choice, ...] | None:
    """The cheapest launches that compute ``run``, in order; None where no plan fits the target.

    Where the last plan's epilogue is "sums", the mean over the tiles is still to be taken.
    """
    found = _cheapest(run, target, 0, 0)
    return found[1] if found else None


Launches = tuple[float, tuple[Choice, ...]]


@cache
def _cheapest(run: Run, target: GpuTarget, start: int, partials: int) -> Launches | None:
    """The cheapest way to do the layers from ``start`` on, whose source holds ``partials`` partial sums."""
    count = len(run.layers)
    if start == count:
        return 0.0, ()
    best: Launches | None = None
    for end in range(start + 1, min(count, start + MOST_LAYERS) + 1):
        for choice in _choices(run, target, start, end, partials):
            if traffic_excess(choice.plan) > MOST_TRAFFIC:
                continue
            split = choice.plan.split if choice.plan.split > 1 else 0
            rest = _cheapest(run, target, end, split)
            if rest is None:
                continue
            extra = MEAN if choice.plan.epilogue == "sums" else 0.0
            total = choice.score + extra + rest[0]
            if best is None or total < best[0]:
                best = total, (choice, *rest[1])
    return best


MOST_TRAFFIC = 3.0
"""What a launch may read of different bytes, to its source as one map and its weights.  Partial sums that grow with the
batch leave no room in L2 for anything else, and few cards have so large a one.
"""


def traffic_excess(plan: Plan) -> float:
    """The different bytes that a launch reads, partial sums included, to what they would be if those were one map."""
    conv = plan.conv
    floats = conv.batch * conv.size[0] * conv.size[1] * round_up(conv.channels, QUAD)
    weights = plan.weight_offset(len(plan.stages))
    return (max(1, plan.partials) * floats + weights) / (floats + weights)


MEAN = 4000.0
"""Clocks of the launch that adds up the tiles' sums."""


@cache
def _choices(run: Run, target: GpuTarget, start: int, end: int, partials: int) -> tuple[Choice, ...]:
    """The cheapest plans for layers ``start`` … ``end - 1``."""
    found = _cheapest_plans(run, target, start, end, partials > 0)
    plans = [replace(plan, partials=partials) for plan in found]
    return tuple(choice_of(plan, target) for plan in plans)


@cache
def _cheapest_plans(run: Run, target: GpuTarget, start: int, end: int, from_partials: bool) -> tuple[Plan, ...]:
    """The cheapest plan for each number of blocks that share a reduction, and each epilogue."""
    segments = _segments(run, start, end, TYPICAL_SPLIT if from_partials else 0)
    return tuple(cut.choice.plan for segment in segments for cut in cheapest_cuts(segment, target).values())


@dataclass
class Cut:
    """The cheapest plans of one split: of those that shared memory feeds fast enough, and of the others."""

    paced: Choice | None = None
    other: Choice | None = None

    @property
    def choice(self) -> Choice:
        """The one that keeps pace, unless the other is far cheaper."""
        best = self.paced or self.other
        assert best is not None
        return self.other if self.other and self.other.score * PATIENCE < best.score else best


PATIENCE = 1.15
"""How much dearer a plan may be to be preferred, because shared memory keeps pace with its multiply-adds.  The model
knows neither what threads lose that wait for a bank, nor how close the pipes that work side by side get to their
peak; a launch of few multiply-adds, whose time goes elsewhere, is not cut far worse for it.
"""


@cache
def cheapest_cuts(segment: Segment, target: GpuTarget) -> dict[int, Cut]:
    """The cheapest plans for each number of blocks that share a reduction."""
    cuts: dict[int, Cut] = {}
    costed: Counter[int] = Counter()
    for draft in drafts(segment, target):
        cut = cuts.get(draft.split, Cut())
        known = cut.paced.score if cut.paced else math.inf
        if draft.bound >= known or costed[draft.split] == MOST_COSTED:
            continue
        costed[draft.split] += 1
        plan = finished(draft, segment, target)
        if plan is None or (choice := choice_of(plan, target)).score >= known:
            continue
        cuts[draft.split] = cut
        if keeps_pace(plan, target):
            cut.paced = choice
        elif cut.other is None or choice.score < cut.other.score:
            cut.other = choice
    return cuts


def may_wait(plan: Plan, segment: Segment, target: GpuTarget) -> bool:
    """Whether a plan of ``segment`` is good enough although shared memory holds up its multiply-adds: far cheaper than
    all that keep pace.
    """
    cuts = cheapest_cuts(segment, target)
    paced = [cut.paced.score for split, cut in cuts.items() if cut.paced and (split > 1) == (plan.split > 1)]
    return choice_of(plan, target).score * PATIENCE < min(paced, default=math.inf)


def choice_of(plan: Plan, target: GpuTarget) -> Choice:
    """A launch of that plan."""
    cost = LaunchCost(plan, target)
    return Choice(plan, cost.clocks, cost.score)


TYPICAL_SPLIT = 4
"""Partial sums that plans for a launch that reads such are compared by."""


def _segments(run: Run, start: int, end: int, partials: int) -> Sequence[Segment]:
    last = end == len(run.layers)
    epilogues = ("sums", run.head) if last and run.head else ("map",)
    segments = []
    for epilogue in epilogues:
        conv, flat = _source(run, start, epilogue)
        before = run.layers[start - 1].activation if start else "none"
        may_split = not last
        segments.append(Segment(conv, flat, partials, before, run.layers[start:end], epilogue, may_split))
    return segments


def _source(run: Run, start: int, epilogue: str) -> tuple[Conv, str]:
    """Layer ``start`` as a convolution, and how its pixels are taken."""
    conv = run.conv
    pointwise = conv.kernel == (1, 1) and conv.strides == (1, 1) and not any(conv.padding) and conv.pool is None
    if start == 0 and not (pointwise and conv.layout == "NHWC"):
        return conv, "no"
    pixels = conv.out_size[0] * conv.out_size[1]
    batch, size = (conv.batch, (1, pixels)) if epilogue != "map" else (1, (1, conv.batch * pixels))
    channels = run.layers[start - 1].units if start else conv.channels
    layer = run.layers[start]
    flat = replace(
        conv, layout="NHWC", batch=batch, channels=channels, size=size, units=layer.units, kernel=(1, 1), strides=(1,
        1),
        padding=(0, 0, 0, 0), dilation=(1, 1), pool=None, activation=layer.activation,
    )  # fmt: skip
    return flat, "all" if epilogue == "map" else "image"
