"""Workers: stopped when idle, told in words when they fail, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest

from nincc.bench.peers.base import Job
from nincc.bench.process import PeerFailure, WorkerProcess, save_arrays

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def loaded(tmp_path, digits_relu):
    """ONNX Runtime with two threads, loaded in a worker."""
    worker = WorkerProcess("onnxruntime", tmp_path / "worker")
    image = np.random.default_rng(0).random((1, 1, 28, 28), dtype=np.float32)
    save_arrays(tmp_path / "inputs.npz", [image])
    graph = onnx.load(digits_relu).graph
    job = Job((str(digits_relu),), 2, (graph.input[0].name,), (graph.output[0].name,))
    facts = worker.ask("load", program="onnxruntime", job=asdict(job), inputs=str(tmp_path / "inputs.npz"))
    yield worker, facts
    worker.close()


def states(pid: int) -> set[str]:
    """The states of all threads of a process: T is stopped."""
    return {
        path.read_text().rsplit(")", 1)[1].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")
    }


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_every_thread_stands_still_between_requests(loaded):
    worker, _ = loaded
    pid = worker._process.pid
    worker.ask("burst", seconds=0.05, least=3, warm=1)
    assert states(pid) == {"T"}
    before = cpu_ticks(pid)
    time.sleep(0.2)
    assert cpu_ticks(pid) == before


def test_what_a_library_forked_does_not_hold_up_the_end(tmp_path, monkeypatch):
    """It has the worker's pipes, and would never close them."""
    (tmp_path / "sitecustomize.py").write_text("import os, time\nif os.fork() == 0:\n    time.sleep(600)\n")
    monkeypatch.syspath_prepend(tmp_path)
    worker = WorkerProcess("onnxruntime", tmp_path / "worker")
    worker.ask("memory")
    closing = threading.Thread(target=worker.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()


def test_burst_times_at_least_what_is_asked_for(loaded):
    worker, _ = loaded
    assert len(worker.ask("burst", seconds=0, least=7, warm=0)["seconds"]) == 7
    seconds = worker.ask("burst", seconds=0.1, least=1, warm=0)["seconds"]
    assert len(seconds) > 1 and all(second > 0 for second in seconds)


def test_load_tells_what_it_cost(loaded):
    worker, facts = loaded
    assert facts["library_bytes"] > 1_000_000  # ONNX Runtime's own library at least
    assert all(facts[key] > 0 for key in ("import_s", "load_s", "first_s"))
    assert 1_000_000 < worker.ask("memory")["peak_bytes"] < 500_000_000


def test_outputs_are_the_programs(loaded):
    worker, _ = loaded
    (scores,) = worker.outputs()
    assert scores.shape == (1, 10)
    assert scores.sum() == pytest.approx(1, abs=1e-5)


def test_failure_is_told_in_the_programs_words(tmp_path):
    worker = WorkerProcess("onnxruntime", tmp_path / "worker")
    try:
        with pytest.raises(PeerFailure, match="nothing is loaded yet"):
            worker.ask("burst", seconds=0, least=1, warm=0)
        job = Job((str(tmp_path / "none.onnx"),), 1, (), ())
        save_arrays(tmp_path / "inputs.npz", [])
        with pytest.raises(PeerFailure, match="onnxruntime failed: .*none.onnx"):
            worker.ask("load", program="onnxruntime", job=asdict(job), inputs=str(tmp_path / "inputs.npz"))
    finally:
        worker.close()


def test_death_is_told_with_its_signal(tmp_path):
    worker = WorkerProcess("onnxruntime", tmp_path / "worker")
    os.kill(worker._process.pid, signal.SIGSEGV)
    with pytest.raises(PeerFailure, match="onnxruntime died: SIGSEGV"):
        worker.ask("memory")
    worker.close()


def test_close_ends_a_stopped_worker(loaded):
    worker, _ = loaded
    worker.close()
    assert worker._process.returncode == -signal.SIGKILL


def test_stopped_worker_dies_with_its_parent(tmp_path):
    code = (
        "import sys, os; from pathlib import Path; from nincc.bench.process import WorkerProcess\n"
        f"worker = WorkerProcess('onnxruntime', Path({str(tmp_path / 'worker')!r})); worker.ask('memory')\n"
        "print(worker._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    pid = int(parent.stdout)
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def alive(pid: int) -> bool:
    """Whether the process runs or is stopped; a zombie that nobody has fetched yet does neither."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
