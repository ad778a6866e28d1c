"""Tuning for a GPU that is not here: launches are interpreted and estimated, and a compile takes the records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nincc.api import compile_options, explain
from nincc.errors import UsageError
from nincc.frontend import load_model
from nincc.records.file import read_records
from nincc.records.format import CRASHED, WRONG
from nincc.records.score import score
from nincc.records.spaces import space_of
from nincc.target import load_target
from nincc.tune.options import TuneOptions
from nincc.tune.run_ptx import reading
from nincc.tune.tuner import tune
from nincc.tune.whole_static import net_cost
from tests.records.lines import CUT, LAUNCH_TASK
from tests.tune.nets import one_product, two_layers, two_products
from tests.tune.planted_launches import RACES, errors_by_pixels
from tests.tune.planted_launches import WRONG as WRONG_PIXELS

OPTIONS = compile_options("sm_80", shipped_schedules=False)


def options(trials: int, **more) -> TuneOptions:
    return TuneOptions(trials=trials, runner="static", **more)


def test_records_that_say_estimate_and_a_compile_that_takes_them(tmp_path: Path) -> None:
    path, records = two_products(tmp_path), tmp_path / "r.jsonl"
    tuned = tune(path, records, OPTIONS, options(8))
    contents = read_records(records)
    assert contents.header is not None and contents.header.runner == "static"
    assert contents.header.target["card"] and contents.header.peak_gflops > 1000
    assert len(contents.entries) == tuned.trials == 8
    assert all(entry.seconds and entry.estimated and entry.note["off"] < 1e-5 for entry in contents.entries)
    assert all(entry.instructions > 1000 for entry in contents.entries)
    net, (task,) = tuned.net, tuned.tasks
    assert net is not None and net.estimated and 0 < net.after < 1.2 * net.before
    assert 0 < net.after_instructions < 1.2 * net.before_instructions
    given = {"schedules": records, "strict_schedules": True, "shipped_schedules": False}
    (launch,) = [kernel for kernel in explain(path, "sm_80", **given).kernels if kernel.op == "nincc.cuda_mlpconv"]
    best = min(contents.entries, key=lambda entry: score(entry.seconds or 1.0, entry.issue))
    assert (task.best, task.best_instructions) == (best.seconds, best.instructions)
    assert launch.reason.startswith(f"record r.jsonl:{best.number}: ")
    assert launch.reason.endswith(f"us estimated, {best.instructions * 1e-6:.1f} M instructions")
    assert list(launch.schedule["tile"]) == [best.knobs["rows"], best.knobs["cols"]]


def test_the_estimate_of_a_net_is_that_of_the_trials(tmp_path: Path) -> None:
    """A net of one launch: its cost is the launch's own, and the little that packing its input takes."""
    path, records = two_products(tmp_path), tmp_path / "r.jsonl"
    (task,) = tune(path, records, OPTIONS, options(1, measure_net=False)).tasks
    seconds, instructions = net_cost(load_model(path), OPTIONS)
    assert task.rule and task.rule < seconds < 2 * task.rule
    assert task.rule_instructions < instructions < 2 * task.rule_instructions


def test_a_net_with_a_head_is_tuned_whole(tmp_path: Path) -> None:
    path, records = two_layers(tmp_path), tmp_path / "r.jsonl"
    tuned = tune(path, records, OPTIONS, options(12, measure_net=False))
    assert all(task.best and not task.failed for task in tuned.tasks)
    explain(path, "sm_80", schedules=records, strict_schedules=True, shipped_schedules=False)


def test_strict_schedules_name_the_launches(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"sm_80: no tuned record for first\+second"):
        explain(two_products(tmp_path), "sm_80", strict_schedules=True, shipped_schedules=False)


def test_planted_faults_are_recorded_and_the_tuning_goes_on(tmp_path: Path) -> None:
    path, records = one_product(tmp_path), tmp_path / "r.jsonl"
    tuning = options(1000, early_stop=1000, measure_net=False, worker="tests.tune.planted_launches")
    (task,) = tune(path, records, OPTIONS, tuning).tasks
    by_pixels = errors_by_pixels(read_records(records).entries)
    assert by_pixels.pop(WRONG_PIXELS) == {WRONG} and by_pixels.pop(RACES) == {CRASHED}
    assert by_pixels and all(errors == {0} for errors in by_pixels.values())
    assert task.best and task.failed > 0


def test_partial_sums_are_not_free() -> None:
    """Five of 16 x 16 x 192: four more for the launch behind, from L2, or from memory where L2 cannot hold all five."""
    space, target = space_of(LAUNCH_TASK), load_target("sm_80")
    plan = space.launch(CUT)
    seconds, instructions = reading(plan, target)
    assert instructions == 4 * 16 * 16 * 192 // 4 * 5 and 0 < seconds < 1e-6
    assert reading(plan, replace(target, l2=900_000))[0] == pytest.approx(4 * 16 * 16 * 192 * 4 / 1555e9)
    assert reading(replace(plan, splits=(1, 1)), target) == (0, 0)
