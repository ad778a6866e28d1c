"""SIGKILL at twenty random moments: each time the tuning goes on, and at most the trial in flight is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from nincc.api import compile_options
from nincc.records.file import read_records
from nincc.target import native_target
from nincc.tune.options import TuneOptions
from nincc.tune.tuner import tune
from tests.tune.nets import two_layers

KILLS = 20
TRIALS = 5000


def run(path: Path, records: Path, log: Path, trials: int) -> None:
    """A tuner whose trials take no time to speak of."""
    os.environ["INSTANT_LOG"] = str(log)
    options = TuneOptions(trials=trials, early_stop=TRIALS, measure_net=False, worker="tests.tune.instant")
    tune(path, records, compile_options(native_target().name, threads=2), options)


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes that start with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nincc.tune.tuner", "tests.tune.test_killed"])
    return context


def lines_of(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


def kernels(lines: list[str]) -> list[Any]:
    return [json.loads(line)["config"] for line in lines if not line.startswith("#")]


def test_killed_at_twenty_random_moments(tmp_path: Path, processes: Any) -> None:
    path, records, log = two_layers(tmp_path), tmp_path / "r.jsonl", tmp_path / "log"
    generator = random.Random(6)
    kept: list[str] = []
    for number in range(KILLS):
        process = processes.Process(target=run, args=(path, records, log, TRIALS))
        process.start()
        wait_for_another_line(records, len(kept), process)
        time.sleep(generator.uniform(0, 0.25))
        assert process.is_alive(), f"it ended by itself, kill {number}"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        held = lines_of(records)
        assert held[: len(kept)] == kept and len(held) > len(kept)
        kept = held
    time.sleep(0.1)  # the last worker, which dies with its tuner, may be writing
    assert_whole(path, records, log, kept)


def wait_for_another_line(records: Path, count: int, process: Any) -> None:
    end = time.monotonic() + 120
    while len(lines_of(records)) <= count + 1:
        assert process.is_alive() and time.monotonic() < end
        time.sleep(0.005)


def assert_whole(path: Path, records: Path, log: Path, kept: list[str]) -> None:
    """Each trial that a worker ended is in the file but for one a kill; the file parses, and is taken up once more."""
    done, recorded = [json.loads(line) for line in lines_of(log)], kernels(kept)
    assert len(done) - len(recorded) <= KILLS
    assert all(kernel in done for kernel in recorded)
    contents = read_records(records)
    assert len(contents.entries) == len(recorded) and not contents.bad and not contents.refused
    run(path, records, log, len(recorded) + 3)
    again = read_records(records)
    assert [entry.text for entry in again.entries][: len(recorded)] == kept[1:]
    assert len(again.entries) >= len(recorded) + 3
