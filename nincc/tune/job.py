"""A task of one tuning: its search, and what another trial of it is worth."""

from __future__ import annotations

from dataclasses import dataclass, field

from nincc.options import CompileOptions
from nincc.records.space import Knobs, knobs_text
from nincc.tune.collect import NetTask
from nincc.tune.options import TaskState
from nincc.tune.process import Outcome
from nincc.tune.search import Search
from nincc.tune.trials import TrialMaker

FIRST_TRIALS = 5
"""Trials that every task gets before any gets more."""
PATIENCE = 8
"""Trials without improvement after which a task counts half."""


@dataclass
class Job:
    """A task with its search; ``spent`` are seconds of its trials in this run."""

    task: NetTask
    compile_options: CompileOptions
    seed: int
    search: Search = field(init=False)
    maker: TrialMaker | None = field(init=False, default=None)
    failed: int = field(init=False, default=0)
    now: float | None = field(init=False, default=None)
    estimated: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        target = self.compile_options.target
        budget = self.compile_options.error_budget
        self.search = Search(self.task.space, self.task.rule, target, budget, self.seed)

    def add(self, knobs: Knobs, outcome: Outcome) -> None:
        self.search.add(knobs, outcome.seconds, outcome.condemns, (outcome.instructions, outcome.issue))
        self.failed += outcome.seconds is None
        self.now = outcome.seconds
        self.estimated |= outcome.estimated

    def value(self) -> float:
        """How much a trial may gain: the task's share of the net's time, less the longer nothing was found."""
        best = self.search.best_seconds
        if self.search.trials < FIRST_TRIALS or best is None:
            return float("inf") if self.search.trials < 4 * FIRST_TRIALS else 0.0
        return best * len(self.task.layers) / (1 + self.search.since / PATIENCE)

    def rank(self) -> tuple[float, int]:
        """Sorts tasks: the most valuable first, of those that still get their first trials the one with fewest."""
        return -self.value(), self.search.trials

    def state(self) -> TaskState:
        search, space = self.search, self.task.space
        best = search.best
        shown = search.points[best] if best is not None else self.task.rule
        return TaskState(
            name=str(self.task.workload),
            layers=self.task.layers,
            macs=self.task.workload.macs,
            bytes=self.task.workload.bytes,
            points=len(search.points),
            algorithms=tuple(dict.fromkeys(space.algorithm(knobs) for knobs in search.points)),
            trials=search.trials,
            failed=self.failed,
            rule=search.rule_seconds,
            best=search.best_seconds,
            rule_instructions=search.rule_instructions,
            best_instructions=search.best_instructions,
            now=self.now,
            schedule=f"{space.algorithm(shown)} {knobs_text({k: v for k, v in shown.items() if k != 'm'})}",
            estimated=self.estimated,
        )
