"""The static runner: a core that is not here is emulated for the output and modelled for the time, and it says so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from nincc.api import compile_options, explain
from nincc.records.file import read_records
from nincc.records.task import task_for
from nincc.records.workload import gemm_workload
from nincc.target import Target, load_target
from nincc.tune.options import TuneOptions
from nincc.tune.process import Worker
from nincc.tune.trials import TrialMaker
from nincc.tune.tuner import tune
from tests.tune.nets import two_layers


def test_estimates_are_records_that_say_so(tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    options = TuneOptions(trials=4, runner="static", timeout=60)
    path = two_layers(tmp_path)
    tuned = tune(path, records, compile_options("cortex-a72", threads=2), options)
    contents = read_records(records)
    assert contents.header is not None and contents.header.runner == "static"
    assert len(contents.entries) == tuned.trials == 4
    assert tuned.net is not None and tuned.net.estimated and 0 < tuned.net.after < 2 * tuned.net.before
    assert all(entry.seconds and entry.estimated and entry.note["off"] < 1e-5 for entry in contents.entries)
    explanation = explain(path, "cortex-a72", schedules=records, threads=2)
    reasons = [kernel.reason for kernel in explanation.kernels if kernel.reason.startswith("record ")]
    assert reasons and all(reason.endswith("us estimated") for reason in reasons)


@pytest.mark.parametrize("name", ["cortex-a53", "cortex-a7"])
def test_a_larger_register_tile_is_faster(name: str) -> None:
    target = load_target(name)
    assert isinstance(target, Target)
    task = task_for(gemm_workload(60, 64, 32), target, 1)
    maker, worker, seconds = TrialMaker(task, target), Worker(), {}
    try:
        for mr in (1, 4):
            blocks = maker.request({"mr": mr, "order": "mn", "block": 0})
            request = {**blocks, "target": asdict(target), "runner": {"kind": "static"}, "seed": 0}
            seconds[mr] = worker.trial(request, 60).seconds
    finally:
        worker.close()
    assert seconds[4] and seconds[1] and seconds[4] < seconds[1]
