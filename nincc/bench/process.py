"""The parent's side of a worker: start it, ask it, stop and continue it.

A worker is stopped (SIGSTOP) whenever another one is timed.  So no thread of it can spin or touch a cache,
whatever its library's thread pool does when idle.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from nincc.bench.peers.base import Array
from nincc.errors import ToolError


class PeerFailure(ToolError):
    """A timed program failed or died; the message is its own last word."""


class WorkerProcess:
    """One worker, running between :meth:`ask` and its answer only."""

    def __init__(self, program: str, folder: Path) -> None:
        """Starts the worker of ``program``; it keeps its files in ``folder`` (made here)."""
        self.program = program
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # The worker must import this very nincc, also where only this process's sys.path leads to it.
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
        with open(folder / "log.txt", "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nincc.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,
            )
        self._stopped = False

    def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Continues the worker, does one request (see nincc.bench.worker) and stops it again.

        Raises PeerFailure with the program's own message.
        """
        self._signal(signal.SIGCONT)
        reply = self._exchange(json.dumps({"do": request, **arguments}))
        self._signal(signal.SIGSTOP)
        if "error" in reply:
            raise PeerFailure(f"{self.program} failed: {reply['error']}")
        return reply

    def outputs(self) -> list[Array]:
        """The outputs of one inference, in graph order."""
        path = self.folder / "outputs.npz"
        self.ask("run", out=str(path))
        with np.load(path) as stored:
            return [stored[name] for name in stored.files]

    def close(self) -> None:
        """Ends the worker, stopped or not, and what its library forked.

        OpenVINO forks a process on import, which may wait for ever for a lock, with the worker's pipes open.
        """
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def _exchange(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise PeerFailure(f"{self.program} died: {self._last_words()}")
        reply: dict[str, Any] = json.loads(answer)
        return reply

    def _last_words(self) -> str:
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        lines = [line for line in (self.folder / "log.txt").read_text(errors="replace").splitlines() if line.strip()]
        return f"{how}: {lines[-1].strip()}" if lines else how

    def _signal(self, which: signal.Signals) -> None:
        """Stops or continues the whole process; a stop is waited for until every thread stands."""
        stop = which is signal.SIGSTOP
        if stop == self._stopped:
            return
        self._process.send_signal(which)
        if stop:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self._stopped = stop


def save_arrays(path: Path, arrays: Sequence[Array]) -> None:
    """Stores arrays for a worker, in order."""
    np.savez(path, *arrays)
