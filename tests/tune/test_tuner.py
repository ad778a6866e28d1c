"""Tuning, whole: real kernels, a real file, real deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import nincc
from nincc.api import compile_options, explain
from nincc.errors import DeviceError, UsageError
from nincc.records.file import locked, read_records
from nincc.records.format import BAD_CODE, SLOW_RUN, WRONG
from nincc.target import load_target, native_target
from nincc.tune.options import TuneOptions
from nincc.tune.tuner import plan, tune
from tests.cli.process import COMMAND
from tests.tune.nets import one_product, two_layers

TARGET = native_target().name
OPTIONS = compile_options(TARGET, threads=2)


def test_a_tuning_gives_records_that_a_compile_takes(tmp_path: Path) -> None:
    path, records, seen = two_layers(tmp_path), tmp_path / "r.jsonl", []
    tuned = tune(path, records, OPTIONS, TuneOptions(trials=8), seen.append)
    conv, head = tuned.tasks
    assert conv.layers == ("conv1",) and head.layers == ("conv2",)
    assert conv.rule and conv.best and head.best and conv.failed == head.failed == 0
    assert tuned.net is not None and 0 < tuned.net.after < 10 * tuned.net.before
    assert seen[-1].done == tuned.trials == len(read_records(records).entries) >= 8
    lines = {entry.number for entry in read_records(records).entries}
    explanation = explain(path, TARGET, schedules=records, strict_schedules=True, threads=2)
    reasons = [kernel.reason for kernel in explanation.kernels if kernel.reason.startswith("record r.jsonl:")]
    assert len(reasons) == 2 and all(int(reason.split(":")[1]) in lines for reason in reasons)


def test_without_records_strict_schedules_name_the_layers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no tuned record for conv1, conv2"):
        explain(two_layers(tmp_path), TARGET, strict_schedules=True, shipped_schedules=False, threads=2)


def test_killed_at_any_moment_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, records = two_layers(tmp_path), tmp_path / "r.jsonl"
    command = [*COMMAND, "tune", str(path), "--records", str(records), "--target", TARGET, "--threads", "2"]
    kept: list[str] = []
    for number, delay in enumerate((0.0, 0.15, 0.4)):
        process = subprocess.Popen([*command, "--trials", "100"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_lines(records, 3 + 2 * number, process)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert complete_lines(records)[: len(kept)] == kept
        kept = complete_lines(records)
    with open(records, "a") as file:
        file.write(kept[-1][:100])  # as a write that the disk only half got
    tuned = tune(path, records, OPTIONS, TuneOptions(trials=len(kept) + 1, measure_net=False))
    contents = read_records(records)
    assert [entry.text for entry in contents.entries][: len(kept) - 1] == kept[1:] and not contents.bad
    assert tuned.trials == len(contents.entries) >= len(kept) + 1


def complete_lines(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while len(complete_lines(path)) < count:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def test_a_second_tuner_is_turned_away(tmp_path: Path) -> None:
    with locked(tmp_path / "r.jsonl"), pytest.raises(UsageError, match="another nincc is writing to it"):
        tune(two_layers(tmp_path), tmp_path / "r.jsonl", OPTIONS)


def test_planted_faults_are_recorded_and_the_tuning_goes_on(tmp_path: Path) -> None:
    path, records = one_product(tmp_path), tmp_path / "r.jsonl"
    options = TuneOptions(trials=100, timeout=8, early_stop=100, measure_net=False, worker="tests.tune.planted")
    (task,) = tune(path, records, OPTIONS, options).tasks
    entries = read_records(records).entries
    faults = {entry.knobs["mr"]: entry for entry in entries if entry.seconds is None and entry.knobs["order"] == "mn"}
    assert {mr: entry.error for mr, entry in faults.items()} == {1: BAD_CODE, 2: WRONG, 3: SLOW_RUN}
    assert "SIGABRT" in faults[1].note["said"] and "off by" in faults[2].note["said"]
    assert task.failed == len(faults) and task.best and not task.schedule.startswith(("gemm mr=2 order=mn",))
    assert len({entry.key for entry in entries}) == task.points


def test_nincc_tune_is_the_same(tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    tuned = nincc.tune(two_layers(tmp_path), TARGET, records=records, threads=2, trials=2, measure_net=False)
    assert tuned.trials == len(read_records(records).entries) and tuned.net is None


def test_a_dry_run_measures_nothing(tmp_path: Path) -> None:
    model, tasks = plan(two_layers(tmp_path), OPTIONS)
    assert model.name == "small" and [task.trials for task in tasks] == [0, 0]
    assert tasks[0].points > 20 and "direct" in tasks[0].algorithms


@pytest.mark.parametrize(("target", "options", "error", "words"), [
    ("cuda", {}, DeviceError, "no GPU is here to time sm_80"),
    ("cuda", {"runner": "rpc", "tracker": "h:1", "key": "k"}, UsageError, "no CUDA for sm_80"),
    ("arm", {}, DeviceError, "cannot run cortex-a72.*--runner static or rpc"),
    ("x86", {"runner": "static"}, UsageError, "models ARM and GPUs, not x86-64-v3"),
    ("x86", {"runner": "rpc"}, UsageError, "--tracker HOST:PORT and --key"),
    ("cortex-a7", {"runner": "rpc", "tracker": "h:1", "key": "k"}, UsageError, "does not exist for cortex-a7"),
    ("x86", {"runner": "rpc", "tracker": "127.0.0.1:1", "key": "k"}, DeviceError, "no RPC tracker answers"),
    ("x86", {"runner": "rpc", "tracker": "nowhere", "key": "k"}, UsageError, "no HOST:PORT"),
])  # fmt: skip
def test_what_cannot_be_is_said_before_any_work(tmp_path: Path, target, options, error, words) -> None:
    if os.uname().machine == "aarch64" and target == "arm":
        pytest.skip("this machine is an ARM")
    with pytest.raises(error, match=words):
        tune(two_layers(tmp_path), tmp_path / "r.jsonl", compile_options(load_target(target)), TuneOptions(**options))
