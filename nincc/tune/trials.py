"""Trials as AutoTVM's records: how one is asked of a worker, and how its line reads."""

from __future__ import annotations

import json
import time
from typing import Any

from nincc._tvm import tvm
from nincc.codegen.cuda.machine import schedule_target
from nincc.codegen.lower import tvm_target
from nincc.gpu_target import GpuTarget
from nincc.records.format import ERRORS
from nincc.records.space import Knobs
from nincc.records.task import Task
from nincc.target import AnyTarget
from nincc.tune import template
from nincc.tune.process import Outcome

autotvm = tvm.autotvm
FAILED_COST = 1e9
"""AutoTVM's seconds for a trial that gave no time."""


class TrialMaker:
    """A task as AutoTVM knows it."""

    def __init__(self, task: Task, target: AnyTarget) -> None:
        self._machine = schedule_target(target) if isinstance(target, GpuTarget) else tvm_target(target)
        self._task = template.create_task(task, self._machine)

    def __len__(self) -> int:
        """Points of AutoTVM's space: all that are kernels, whatever their error."""
        return len(self._task.config_space)

    def request(self, knobs: Knobs) -> dict[str, Any]:
        """What a worker needs to build the kernel."""
        config = template.config_of(self._task, knobs)
        return {"name": self._task.name, "args": self._task.args, "config": config.to_json_dict()}

    def line(self, knobs: Knobs, outcome: Outcome) -> str:
        """The record of a trial; ``nincc`` in it says what AutoTVM has no place for."""
        trial = autotvm.measure.MeasureInput(self._machine, self._task, template.config_of(self._task, knobs))
        costs = (FAILED_COST if outcome.seconds is None else outcome.seconds,)
        result = autotvm.measure.MeasureResult(costs, outcome.error, outcome.elapsed, time.time())
        record = json.loads(autotvm.record.encode(trial, result))
        note = dict(outcome.note)
        if outcome.seconds is None:
            note |= {"error": ERRORS[outcome.error], "said": outcome.text}
        return json.dumps({**record, "nincc": note}, ensure_ascii=False)
