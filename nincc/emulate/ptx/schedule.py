"""Runs a chunk's threads: together as long as they go the same way, parted at branches, met again behind them.

A *fragment* is a set of lanes at one place in the code.  At a branch that lanes of it disagree about, it splits in
two, which meet again at the branch block's immediate post-dominator: a *merge* waits there for all fragments that are
on their way.  A fragment at a barrier waits until all threads of a block that still run have come to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nincc.emulate.ptx.chunk import Chunk
from nincc.emulate.ptx.faults import BarrierFault, KernelFault, TrapFault
from nincc.emulate.ptx.flow import EXIT
from nincc.emulate.ptx.lanes import Lanes
from nincc.emulate.ptx.program import Code, Step
from nincc.emulate.ptx.scalar import Array

LONGEST = 50_000_000
"""Instructions of one thread after which a kernel counts as endless."""


@dataclass
class Merge:
    """The meeting point ``block`` of ``pending`` fragments; ``arrived`` are the lanes of those that are there."""

    block: int
    pending: int
    parent: Merge | None
    arrived: list[Array] = field(default_factory=list)


@dataclass
class Fragment:
    block: int
    lanes: Lanes
    merge: Merge | None


class Schedule:
    """Runs all threads of ``chunk`` to their ends.  ``executed`` counts lanes by block of the code."""

    def __init__(self, chunk: Chunk, code: Code, executed: Array) -> None:
        self._chunk = chunk
        self._code = code
        self._executed = executed
        self._runnable = [Fragment(0, chunk.everyone, None)]
        self._waiting: list[Fragment] = []
        self.lengths = np.zeros(chunk.shape.size, np.int64)

    def run(self) -> None:
        """KernelFault tells where and by which thread something went wrong."""
        while self._runnable or self._waiting:
            if not self._runnable:
                self._release()
            self._advance(self._runnable.pop())

    def _advance(self, fragment: Fragment) -> None:
        """Runs the fragment until it waits, splits, meets others or ends."""
        going: Fragment | None = fragment
        while going is not None:
            if going.merge is not None and going.block == going.merge.block:
                self._arrive(going)
                return
            going = self._run_block(going)

    def _run_block(self, fragment: Fragment) -> Fragment | None:
        block = self._code.blocks[fragment.block]
        lanes = fragment.lanes
        self._executed[fragment.block] += lanes.count
        if lanes.index is None:
            self.lengths += block.length
        else:
            self.lengths[lanes.index] += block.length
        if self.lengths[lanes.numbers[0]] > LONGEST:
            raise self._located(TrapFault(f"the kernel still runs after {LONGEST} instructions"), block.steps[-1])
        for step in block.steps:
            try:
                step.execute(self._chunk, lanes)
            except KernelFault as fault:
                raise self._located(fault, step) from fault
        return self._leave(fragment)

    def _leave(self, fragment: Fragment) -> Fragment | None:
        """What runs on after the block, None where nothing does right now."""
        block = self._code.blocks[fragment.block]
        if block.barrier:
            return self._stop(fragment)
        ways = self._ways(fragment)
        if len(ways) == 1:
            target, lanes = ways[0]
            if target != EXIT:
                return Fragment(target, lanes, fragment.merge)
            self._end(fragment)
            return None
        merge = fragment.merge
        if merge is not None and merge.block == block.meeting:
            merge.pending += len(ways) - 1
        else:
            merge = Merge(block.meeting, len(ways), merge)
        for target, lanes in ways:
            part = Fragment(target, lanes, merge)
            if target == EXIT:
                self._end(part)
            else:
                self._runnable.append(part)
        return None

    def _ways(self, fragment: Fragment) -> list[tuple[int, Lanes]]:
        """The blocks that follow, each with the lanes that go there."""
        block = self._code.blocks[fragment.block]
        lanes = fragment.lanes
        if block.choose is None:
            return [(block.successors[0], lanes)]
        choice = block.choose(self._chunk, lanes)
        first = int(choice[0])
        if (choice == first).all():
            return [(self._successor(block.successors, first), lanes)]
        return [
            (self._successor(block.successors, int(way)), lanes.select(choice == way)) for way in np.unique(choice)
        ]

    def _successor(self, successors: Sequence[int], way: int) -> int:
        if way >= len(successors):
            raise TrapFault("a branch by a number that its table does not have")
        return successors[way]

    def _end(self, fragment: Fragment) -> None:
        self._chunk.retire(fragment.lanes)
        self._finish(fragment.merge)

    def _arrive(self, fragment: Fragment) -> None:
        assert fragment.merge is not None
        fragment.merge.arrived.append(fragment.lanes.numbers)
        self._finish(fragment.merge)

    def _finish(self, merge: Merge | None) -> None:
        """One of those that ``merge`` waits for has come, or will not come any more."""
        while merge is not None:
            merge.pending -= 1
            if merge.pending:
                return
            if merge.arrived:
                lanes = Lanes(self._chunk.shape, np.sort(np.concatenate(merge.arrived)))
                self._runnable.append(Fragment(merge.block, lanes, merge.parent))
                return
            merge = merge.parent

    def _stop(self, fragment: Fragment) -> Fragment | None:
        """At a barrier: passes at once where all threads of its blocks have come."""
        block = self._code.blocks[fragment.block]
        here, alive = self._per_block(fragment.lanes), self._per_block(self._chunk.living)
        if ((here == 0) | (here == alive)).all():
            self._pass(np.flatnonzero(here))
            return Fragment(block.successors[0], fragment.lanes, fragment.merge)
        whole = np.bincount(self._chunk.living.warp, minlength=1)
        mine = np.bincount(fragment.lanes.warp, minlength=whole.size)
        broken = (mine > 0) & (mine < whole) & block.aligned
        if broken.any():
            lane = int(fragment.lanes.numbers[np.argmax(broken[fragment.lanes.warp])])
            fault = BarrierFault("a barrier in divergent code: other threads of the warp do not reach it", lane=lane)
            raise self._located(fault, block.steps[-1])
        self._waiting.append(fragment)
        return None

    def _per_block(self, lanes: Lanes) -> Array:
        return np.bincount(lanes.block, minlength=self._chunk.shape.blocks)

    def _pass(self, blocks: Array) -> None:
        if self._chunk.observer.races is not None:
            self._chunk.observer.races.barrier(blocks)

    def _release(self) -> None:
        """All that can run has run: lets those blocks on whose threads all wait at barriers."""
        shape = self._chunk.shape
        waiting = Lanes(shape, np.sort(np.concatenate([fragment.lanes.numbers for fragment in self._waiting])))
        here, alive = self._per_block(waiting), self._per_block(self._chunk.living)
        complete = (here > 0) & (here == alive)
        if not complete.any():
            self._detach(waiting)
            return
        self._pass(np.flatnonzero(complete))
        fragments, self._waiting = self._waiting, []
        for fragment in fragments:
            self._split_waiting(fragment, complete[fragment.lanes.block])

    def _split_waiting(self, fragment: Fragment, free: Array) -> None:
        """The lanes that are ``free`` go on behind the barrier, the others wait on."""
        if not free.all():
            self._waiting.append(Fragment(fragment.block, fragment.lanes.select(~free), fragment.merge))
        if free.any():
            following = self._code.blocks[fragment.block].successors[0]
            self._runnable.append(Fragment(following, fragment.lanes.select(free), fragment.merge))
        if fragment.merge is not None and free.any() and not free.all():
            fragment.merge.pending += 1

    def _detach(self, waiting: Lanes) -> None:
        """Warps that wait at a merge for other warps only, which stand at a barrier, need not wait there."""
        busy = set(waiting.warp.tolist())
        for fragment in self._waiting:
            merge = fragment.merge
            while merge is not None:
                if merge.arrived:
                    arrived = Lanes(self._chunk.shape, np.sort(np.concatenate(merge.arrived)))
                    free = ~np.isin(arrived.warp, list(busy))
                    if free.any():
                        self._send_ahead(merge, arrived, free)
                        return
                merge = merge.parent
        stuck = self._waiting[0]
        fault = BarrierFault("a barrier that other threads of the block never reach", lane=int(stuck.lanes.numbers[0]))
        raise self._located(fault, self._code.blocks[stuck.block].steps[-1])

    def _send_ahead(self, merge: Merge, arrived: Lanes, free: Array) -> None:
        merge.arrived = [arrived.numbers[~free]] if not free.all() else []
        if merge.parent is not None:
            merge.parent.pending += 1
        self._runnable.append(Fragment(merge.block, arrived.select(free), merge.parent))

    def _located(self, fault: KernelFault, step: Step) -> KernelFault:
        where = f"kernel '{self._code.name}', PTX line {step.line} ({step.text})"
        if fault.lane >= 0:
            where += f", {self._chunk.shape.describe(fault.lane)}"
        return fault.located(where)


