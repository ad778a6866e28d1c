"""Runs a candidate on a board behind TVM's RPC tracker: uploads the library, and times it there.

TVM's RPC server runs each session in a process of its own, so that a kernel's crash costs the session only.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.errors import DeviceError, UsageError
from nincc.tune.data import Floats
from nincc.tune.timing import SPENT, Result, robust, runs_for

_ENTRY = "nincc_measure_packed"
_CONNECT_SECONDS = 5.0


class Lost(DeviceError):
    """The session with a board broke: the board went away, or the kernel crashed it."""


class NoBoard(DeviceError):
    """No board could be had."""


def address(tracker: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; UsageError where it is none."""
    host, _, port = tracker.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"'{tracker}' is no HOST:PORT", hint="like 192.168.1.2:9190")
    return host, int(port)


def boards(tracker: str, key: str) -> int:
    """How many boards of ``key`` the tracker knows; DeviceError where it does not answer or knows none."""
    try:
        servers = connect(tracker).summary()["server_info"]
    except UsageError:
        raise
    except Exception as error:
        what = f"no RPC tracker answers: {first_line(error)}"
        raise DeviceError(what, where=tracker, hint="see docs/fleet.md") from error
    found = sum(server["key"] == f"server:{key}" for server in servers)
    if not found:
        raise DeviceError(f"the tracker has no board of key '{key}'", where=tracker, hint="see docs/fleet.md")
    return found


def connect(tracker: str) -> Any:
    """A connection to the tracker; TVM's own client would try for a minute before it gave up."""
    place = address(tracker)
    socket.create_connection(place, _CONNECT_SECONDS).close()
    return tvm.rpc.connect_tracker(*place)


def run_remotely(
    runner: dict[str, Any],
    library: Path,
    arrays: Sequence[Floats],
    outputs: int,
    scratch: Sequence[int],
    tasks: int,
    evict: int,
    waiting: Callable[[], None],
    running: Callable[[], None],
) -> Result:
    """One run, then timed ones, on whichever board of the key is free.

    Calls ``waiting``, and ``running`` once it has a board.  Raises NoBoard where there is none, Lost where the
    session breaks.
    """
    try:
        waiting()
        tracker = connect(runner["tracker"])
        session = tracker.request(runner["key"], session_timeout=float(runner["timeout"]), max_retry=1)
    except Exception as error:
        raise NoBoard(f"no board answers: {first_line(error)}", where=runner["tracker"]) from error
    running()
    try:
        return _measure(session, library, arrays, outputs, scratch, tasks, evict)
    except Exception as error:
        raise Lost(f"the session with the board broke: {first_line(error)}") from error


def _measure(
    session: Any,
    library: Path,
    arrays: Sequence[Floats],
    outputs: int,
    scratch: Sequence[int],
    tasks: int,
    evict: int,
) -> Result:
    session.upload(str(library))
    measure = session.load_module(library.name).get_function(_ENTRY)
    device = session.cpu(0)
    sources = [tvm.nd.array(np.ascontiguousarray(array), device) for array in arrays]
    output = tvm.nd.array(np.full(outputs, np.nan, np.float32), device)
    spare = [tvm.nd.array(np.zeros(size, np.uint8), device) for size in scratch]
    evicted = tvm.nd.array(np.zeros(evict // 4, np.float32), device)

    def seconds(runs: int) -> np.ndarray[Any, Any]:
        times = tvm.nd.array(np.zeros(runs), device)
        if measure(tasks, evicted, times, *sources, output, *spare) != 0:
            raise RuntimeError("the kernel returned an error")
        return np.asarray(times.numpy())

    first = seconds(1)
    values = output.numpy()
    return Result(values, robust(seconds(runs_for(float(first[0]), SPENT))), where="rpc")


def first_line(error: Exception) -> str:
    """What an exception of TVM's says last, where it tells its cause."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else type(error).__name__
