"""The cuts of one GPU launch.

``rows`` and ``cols`` are the tile of pixels of a block; ``pixels``, ``columns`` and ``shares`` the register tile of a
thread in the first layer and the threads that share its reduction; ``chunk`` the channels that are staged at a time;
``slices`` the blocks that share the output channels, ``row_splits`` and ``splits`` those that share the reduction,
along the kernel's rows and along the channels.  The further layers' cut follows, as in the cost rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from math import prod
from typing import Any

from nincc.gpu_target import WARP, GpuTarget
from nincc.kernels.cuda.candidates import (
    LEAST_THREADS,
    MOST_PIXELS,
    MOST_THREADS,
    Segment,
    chunk_fits,
    chunks,
    drafts,
    gathering,
    inner_stage,
    pixel_lanes,
)
from nincc.kernels.cuda.cost import LaunchCost
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.plan_attrs import plan_attrs
from nincc.kernels.cuda.rule import may_wait
from nincc.kernels.cuda.shared import keeps_pace
from nincc.kernels.cuda.stage import QUAD, Stage
from nincc.kernels.error_table import direct_error
from nincc.kernels.spec import round_up
from nincc.records.launch import LaunchWorkload
from nincc.records.space import WORST_ERROR, Knob, Knobs, Space
from nincc.target import AnyTarget

MOST_DRAFTS = 1500
"""Cuts of a launch that are worth a look: the most promising ones."""
CHUNKS = 2
"""Sizes of a chunk that are tried of each: the largest that fit."""
MOST_SHARES, MOST_EACH, MOST_SLICES, MOST_SPLITS = 16, 16, 64, 8


@dataclass(frozen=True)
class LaunchSpace(Space):
    """``cuda_launch``."""

    @property
    def workload(self) -> LaunchWorkload:
        assert isinstance(self.task.workload, LaunchWorkload)
        return self.task.workload

    @cached_property
    def candidates(self) -> dict[str, list[Knob]]:
        """See the module.  Few of the combinations are kernels."""
        conv, units = self.workload.conv(), self.workload.units[0]
        height, width = (min(extent, MOST_PIXELS) for extent in conv.out_size)
        depth = gathering(conv, QUAD)[1] + QUAD * MOST_SHARES
        slices = [n for n in range(1, MOST_SLICES + 1) if round_up(units, QUAD) // QUAD % n == 0]
        return {
            "rows": list(range(1, height + 1)),
            "cols": list(range(1, width + 1)),
            "pixels": list(range(1, MOST_EACH + 1)),
            "columns": [QUAD, 2 * QUAD],
            "shares": list(range(1, MOST_SHARES + 1)),
            "slices": list(slices),
            "row_splits": list(dict.fromkeys((1, conv.kernel[0]))),
            "splits": list(range(1, MOST_SPLITS + 1)),
            "chunk": list(range(QUAD, depth + 1, QUAD)),
        }

    def launch(self, knobs: Mapping[str, Any]) -> Plan | None:
        """The plan of these knobs; None where no kernel has them."""
        tile, splits = (knobs["rows"], knobs["cols"]), (knobs["row_splits"], knobs["splits"])
        segment = self.workload.segment
        first = self._first(segment, tile, splits, knobs)
        if first is None:
            return None
        stage, lanes, threads = first
        inner = self._inner(segment, prod(tile), threads)
        depth = stage.depth // splits[1]
        if inner is None or knobs["chunk"] not in chunks(depth, QUAD * stage.shares):
            return None
        gather = gathering(segment.conv, QUAD * stage.shares)[0]
        plan = Plan(
            segment.conv, gather, segment.flat, segment.partials, segment.source_activation, tile, lanes, threads,
            knobs["chunk"], knobs["slices"], splits, (stage, *inner), segment.epilogue,
        )  # fmt: skip
        return plan if chunk_fits(plan, self.task.rows) and plan.shared_bytes <= self.task.rows else None

    def _first(
        self, segment: Segment, tile: tuple[int, int], splits: tuple[int, int], knobs: Mapping[str, Any]
    ) -> tuple[Stage, tuple[int, int], int] | None:
        """The first layer's cut, its pixels' lanes, and the threads of a block."""
        pixels, columns, shares, slices = (knobs[name] for name in ("pixels", "columns", "shares", "slices"))
        layer, single = segment.layers[0], len(segment.layers) == 1
        lanes = pixel_lanes(tile, pixels) if prod(tile) % pixels == 0 else None
        width = round_up(layer.units, QUAD)
        if lanes is None or width % (columns * slices) or (slices > 1 and not single):
            return None
        if (prod(splits) > 1) != segment.may_split or (prod(splits) > 1 and not single):
            return None
        gather, depth, _ = gathering(segment.conv, QUAD * shares)
        if splits[0] > 1 and (gather == "columns" or segment.conv.kernel[0] % splits[0]):
            return None
        if depth // (QUAD * shares) % splits[1]:
            return None
        threads = round_up(prod(tile) // pixels * (width // columns // slices) * shares, WARP)
        if threads > MOST_THREADS:
            return None
        stage = Stage(layer.units, depth, layer.activation, pixels, columns, shares)
        return stage, lanes, max(LEAST_THREADS, threads)

    @staticmethod
    def _inner(segment: Segment, pixels: int, threads: int) -> list[Stage] | None:
        """The further layers; None where one has no cut."""
        depths = [round_up(layer.units, QUAD) for layer in segment.layers]
        pairs = zip(segment.layers[1:], depths[:-1], strict=True)
        stages = [inner_stage(layer, depth, pixels, threads) for layer, depth in pairs]
        found = [stage for stage in stages if stage is not None]
        return found if len(found) == len(stages) else None

    @cached_property
    def example(self) -> Knobs:
        """Any kernel of the space: a pixel a block."""
        ways = product(*(self.candidates[name] for name in ("shares", "row_splits", "splits")))
        for shares, row_splits, splits in ways:
            one = {"rows": 1, "cols": 1, "pixels": 1, "columns": QUAD, "shares": shares, "slices": 1}
            knobs: Knobs = {**one, "row_splits": row_splits, "splits": splits, "chunk": QUAD * int(shares)}
            if self.launch(knobs) is not None:
                return knobs
        raise ValueError(f"no launch computes {self.workload}")

    def allows(self, knobs: Mapping[str, Any]) -> bool:
        """Whether the tile, its threads and the staged chunk divide what they cut, and fit the card."""
        candidates = self.candidates
        if set(knobs) != set(candidates) or any(knobs[name] not in values for name, values in candidates.items()):
            return False
        return self.launch(knobs) is not None

    def fits(self, knobs: Mapping[str, Any], target: AnyTarget) -> bool:
        """Whether a multiprocessor holds a block, with the registers that its threads need, and its shared memory keeps
        pace, as the cost rule asks for it.
        """
        assert isinstance(target, GpuTarget)
        plan = self.launch(knobs)
        if plan is None or LaunchCost(plan, target).resident == 0:
            return False
        return keeps_pace(plan, target) or may_wait(plan, self.workload.segment, target)

    def points(self, error_budget: float = WORST_ERROR, target: AnyTarget | None = None) -> Iterator[Knobs]:
        """The most promising cuts on ``target``, whose chunks are as large as fits, or one size smaller."""
        assert isinstance(target, GpuTarget)
        seen = 0
        for draft in drafts(self.workload.segment, target):
            if self.workload.leaves_sums != (draft.split > 1):
                continue
            if self.workload.epilogue == "mean" and draft.slices > 1:  # no softmax could join it
                continue
            knobs: Knobs = {
                "rows": draft.tile[0], "cols": draft.tile[1], "pixels": draft.stage.pixels,
                "columns": draft.stage.columns, "shares": draft.stage.shares, "slices": draft.slices,
                "row_splits": draft.splits[0], "splits": draft.splits[1],
            }  # fmt: skip
            sizes = chunks(draft.stage.depth // draft.splits[1], QUAD * draft.stage.shares)
            fitting = (point for size in sizes if self.fits(point := {**knobs, "chunk": size}, target))
            found = list(islice(fitting, CHUNKS))
            yield from found
            seen += bool(found)
            if seen == MOST_DRAFTS:
                return

    def error(self, knobs: Mapping[str, Any]) -> float:
        """The largest of the layers': sums of products."""
        return max(map(direct_error, self.workload.depths))

    def algorithm(self, knobs: Mapping[str, Any]) -> str:
        """``launch``, or ``split by 5`` where so many blocks share a reduction."""
        split = int(knobs["row_splits"]) * int(knobs["splits"])
        return f"split by {split}" if split > 1 else "launch"

    def canonical(self, knobs: Mapping[str, Any]) -> Knobs:
        """Of the attributes of a ``nincc.cuda_mlpconv``."""
        (rows, cols), (row_splits, splits) = knobs["tile"], knobs["splits"]
        first = {name: int(knobs[name][0]) for name in ("pixels", "columns", "shares")}
        return {
            "rows": int(rows), "cols": int(cols), **first, "slices": int(knobs["slices"]),
            "row_splits": int(row_splits), "splits": int(splits), "chunk": int(knobs["chunk"]),
        }  # fmt: skip

    def of_plan(self, plan: Plan) -> Knobs:
        """The knobs of a plan for this workload."""
        return self.canonical(plan_attrs(plan))
