"""The launches of the GPU's cost rule, each cut as a tuned record says where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from nincc.gpu_target import GpuTarget
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.rule import Choice, choice_of
from nincc.options import CompileOptions
from nincc.records.book import book_for
from nincc.records.launch import fitted, launch_workload
from nincc.records.launch_space import LaunchSpace
from nincc.records.spaces import space_of
from nincc.records.task import task_for


def tuned_launches(launches: Sequence[Choice], options: CompileOptions) -> tuple[Choice, ...]:
    """``launches``, which follow each other, by the records: a launch reads as many partial sums as are left to it."""
    tuned: list[Choice] = []
    for choice in launches:
        partials = tuned[-1].plan.split if tuned and tuned[-1].plan.split > 1 else choice.plan.partials
        tuned.append(_tuned(replace(choice.plan, partials=partials), options))
    return tuple(tuned)


def _tuned(plan: Plan, options: CompileOptions) -> Choice:
    target = options.target
    assert isinstance(target, GpuTarget)
    workload = launch_workload(plan)
    found = book_for(options).find(workload, options)
    if found is None:
        return choice_of(plan, target)
    space = space_of(task_for(workload, target, options.threads))
    assert isinstance(space, LaunchSpace)
    cut = space.launch(found.timed.entry.knobs)
    assert cut is not None  # a record of this machine whose knobs the space allows
    tuned = choice_of(fitted(cut, plan), target)
    if math.isinf(tuned.clocks):  # by what the rule has learned since, the card cannot hold it
        return choice_of(plan, target)
    return replace(tuned, reason=found.reason)
