"""The parent's side of a worker: one trial at a time, with a limit, and a new process for each one that dies."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import IO, Any

from nincc.errors import ToolError
from nincc.records.format import BAD_CODE, CRASHED, FAILED, SLOW_CODE, SLOW_RUN, Trial

BOARD = "board"
"""The phase in which a worker waits for a board."""
START_SECONDS = 120.0
"""What a worker may take to start; a busy machine needs a few."""


@dataclass(frozen=True)
class Outcome(Trial):
    """What became of a trial: its time, or the error (a key of nincc.records.format.ERRORS) and what it said.

    ``lost`` says that the device went away, so that the candidate may still be a good one.
    """

    seconds: float | None
    error: int = 0
    text: str = ""
    note: Mapping[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0
    lost: bool = False


class Worker:
    """A worker process that is started when first needed; ``module`` is the program."""

    def __init__(self, module: str = "nincc.tune.worker") -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        self._buffer = b""

    def trial(self, request: Mapping[str, Any], timeout: float) -> Outcome:
        """Has the worker do one trial within ``timeout`` seconds; whatever happens to the worker, an outcome comes."""
        self._start()
        start = monotonic()
        phase = "build"
        try:
            self._send(request)
            while "phase" in (answer := self._answer(start + timeout)):
                phase = answer["phase"]
        except TimeoutError:
            self.close()
            number = {"build": SLOW_CODE, BOARD: FAILED}.get(phase, SLOW_RUN)
            text = f"stopped after {timeout:g} s"
            return Outcome(None, number, text, elapsed=monotonic() - start, lost=phase == BOARD)
        except (EOFError, BrokenPipeError):
            text = self._death()
            return Outcome(None, BAD_CODE if phase == "build" else CRASHED, text, elapsed=monotonic() - start)
        elapsed = monotonic() - start
        if "error" in answer:
            return Outcome(None, answer["error"], answer["text"], {}, elapsed, bool(answer.get("lost")))
        return Outcome(answer["seconds"], note=answer["note"], elapsed=elapsed)

    def close(self) -> None:
        """Ends the worker at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._buffer = b""
        self._log.seek(0)
        self._log.truncate()
        # The worker must import this very nincc, also where only this process's sys.path leads to it.
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
        command = [sys.executable, "-m", self._module]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._log, env=environment)
        try:
            self._answer(monotonic() + START_SECONDS)
        except (EOFError, TimeoutError) as error:
            raise ToolError(f"the tuning worker did not start: {self._death()}") from error

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def _answer(self, deadline: float) -> dict[str, Any]:
        """The next line; TimeoutError after ``deadline``, EOFError when the process has ended."""
        assert self._process is not None and self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - monotonic())):
                    raise TimeoutError
                data = os.read(self._process.stdout.fileno(), 1 << 16)
                if not data:
                    raise EOFError
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _death(self) -> str:
        """How the process ended, and its last words."""
        if self._process is None:
            return "it was stopped"
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.close()
            return "it stopped answering"
        self.close()
        self._log.seek(0)
        lines = [line for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"{how}: {lines[-1].strip()[:200]}" if lines else how
