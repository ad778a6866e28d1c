"""Tuning on this machine's GPU: launches are timed by events.  Where none is here, on the stand-in driver."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nincc.emulate.cuda.library import build_stub
from nincc.gpu_driver import has_gpu
from nincc.records.file import read_records
from nincc.records.format import CRASHED, WRONG
from nincc.target import host_of, load_target
from tests.cli.process import ROOT, fail
from tests.tune.nets import one_product
from tests.tune.planted_launches import RACES, errors_by_pixels
from tests.tune.planted_launches import WRONG as WRONG_PIXELS


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on programs find a GPU: this machine's, else the stub's, which is an sm_80."""
    if not has_gpu():
        build_stub(tmp_path, host_of(load_target("sm_80")))
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))


def tuned(model: Path, records: Path, trials: int, worker: str, *net: str) -> Any:
    command = [sys.executable, "-m", "tests.tune.tune_here", model, records, str(trials), worker, *net]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_launches_are_timed_and_the_net_too(tmp_path: Path, gpu: None) -> None:
    records = tmp_path / "r.jsonl"
    worker = "nincc.tune.worker" if has_gpu() else "tests.tune.on_stub"
    said = tuned(one_product(tmp_path), records, 6, worker, "net")
    contents = read_records(records)
    assert contents.header is not None and contents.header.runner == "local" and contents.header.machine
    right = [entry for entry in contents.entries if entry.seconds]
    assert right and not any(entry.estimated or entry.instructions for entry in right)
    assert all(1e-7 < (entry.seconds or 0) < 1e-3 and entry.note["off"] < 1e-5 for entry in right)
    assert said["net"]["after"] > 0 and not said["net"]["estimated"]


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU, which finds no races")
def test_what_the_gpu_breaks_on_is_recorded_and_the_tuning_goes_on(tmp_path: Path, gpu: None) -> None:
    records = tmp_path / "r.jsonl"
    (task,) = tuned(one_product(tmp_path), records, 1000, "tests.tune.on_stub")["tasks"]
    entries = read_records(records).entries
    by_pixels = errors_by_pixels(entries)
    assert by_pixels.pop(WRONG_PIXELS) == {WRONG} and by_pixels.pop(RACES) == {CRASHED}
    assert by_pixels and all(errors == {0} for errors in by_pixels.values())
    crashed = next(entry for entry in entries if entry.error == CRASHED)
    assert "CUDA_ERROR_LAUNCH_FAILED" in crashed.note["said"]
    assert task["best"]


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU, which does compute")
def test_a_gpu_that_computes_nothing_is_caught(tmp_path: Path, gpu: None) -> None:
    """The stub alone runs no kernel: what it leaves in memory is no result."""
    records = tmp_path / "r.jsonl"
    tuned(one_product(tmp_path), records, 3, "nincc.tune.worker")
    assert {entry.error for entry in read_records(records).entries} == {WRONG}


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU: the stub would not be found")
def test_a_gpu_that_is_too_old_is_said_at_once(tmp_path: Path, gpu: None) -> None:
    line = fail(4, "tune", one_product(tmp_path), "--target", "sm_90", "--trials", 1)
    assert "stand-in GPU has compute capability 8.0, which cannot run sm_90" in line
