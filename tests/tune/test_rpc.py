"""A fleet on this machine: TVM's tracker and two of its RPC servers, real processes, one of which dies on the way."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nincc.api import compile_options
from nincc.errors import DeviceError
from nincc.records.file import read_records
from nincc.target import native_target
from nincc.tune.options import TuneOptions
from nincc.tune.run_rpc import boards
from nincc.tune.tuner import tune
from tests.tune.nets import two_layers

KEY = "board"


@dataclass(frozen=True)
class Fleet:
    """The tracker's address and the servers' processes, each the leader of a group of its own, with their logs."""

    tracker: str
    servers: list[subprocess.Popen[bytes]]
    logs: list[Path]

    def served(self, index: int) -> int:
        """Sessions that a server has begun."""
        return self.logs[index].read_text().count("start serving")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    ports = [free_port() for _ in range(3)]
    address = f"127.0.0.1:{ports[0]}"
    tracker = start("rpc_tracker", ports[0], folder / "tracker.log")
    started = [tracker]
    try:
        wait_for(lambda: answers(ports[0]), "the tracker")
        logs = [folder / f"server{index}.log" for index in range(2)]
        for port, log in zip(ports[1:], logs, strict=True):
            started.append(start("rpc_server", port, log, "--tracker", address, "--key", KEY))
        wait_for(lambda: known(address) == 2, "the servers")
        yield Fleet(address, started[1:], logs)
    finally:
        for process in started:
            end(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(module: str, port: int, log: Path, *more: str) -> subprocess.Popen[bytes]:
    place = ["--host", "127.0.0.1", "--port", str(port), "--port-end", str(port + 1)]
    command = [sys.executable, "-m", f"tvm.exec.{module}", *place, *more]
    with open(log, "wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def known(tracker: str) -> int:
    try:
        return boards(tracker, KEY)
    except DeviceError:
        return 0


def wait_for(condition, what: str) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, f"{what} did not start"
        time.sleep(0.1)


def test_a_key_without_boards_is_said_before_any_work(fleet: Fleet) -> None:
    with pytest.raises(DeviceError, match="no board of key 'other'"):
        boards(fleet.tracker, "other")


def test_two_boards_and_one_of_them_dies(fleet: Fleet, tmp_path: Path) -> None:
    options = TuneOptions(trials=14, timeout=30, runner="rpc", tracker=fleet.tracker, key=KEY)
    served_by_both = []

    def kill_one(progress) -> None:
        if progress.done >= 6 and not served_by_both:
            served_by_both.append(all(fleet.served(index) for index in range(2)))
            end(fleet.servers[0])

    compile_as = compile_options(native_target().name, threads=2)
    tuned = tune(two_layers(tmp_path), tmp_path / "r.jsonl", compile_as, options, kill_one)
    entries = read_records(tmp_path / "r.jsonl").entries
    assert served_by_both == [True]
    assert len(entries) == tuned.trials >= 14
    assert all(entry.seconds is not None and entry.note["where"] == "rpc" for entry in entries)
    assert known(fleet.tracker) == 1 and not tuned.notes
    assert tuned.net is not None and not tuned.net.estimated and 0 < tuned.net.after < 10 * tuned.net.before
