"""Runs an artefact in a process of its own: a library that crashes must not take nincc with it.

Parent and child talk by pickles over pipes, a tuple of arrays each way.  ``python -m nincc.verify.isolated
FOLDER THREADS`` is the child.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from nincc.errors import DeviceError, NinccError, UsageError, VerificationError
from nincc.verify.ops.registry import Array

SELFTEST_FAILED = 6  # NAME_ERROR_SELFTEST of the artefact's header


class IsolatedNet:
    """The artefact in ``folder`` as a callable, arrays in graph order in and out.

    Use it in a ``with`` block, or close it.  Calls raise what loading raised (DeviceError, UsageError), and
    VerificationError where the library crashed.  ``device`` is one of :data:`nincc.emulate.DEVICES`, None for the
    best there is.
    """

    def __init__(self, folder: Path, threads: int = 1, device: str | None = None) -> None:
        self._folder = folder
        command = [sys.executable, "-m", "nincc.verify.isolated", str(folder), str(threads), device or ""]
        # The child must import this very nincc, also where only this process's sys.path leads to it.
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )

    def __call__(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """The library's outputs."""
        return tuple(self._ask("run", arrays))

    def selftest(self) -> float:
        """The largest error of the library's own selftest."""
        return float(self._ask("selftest", None))

    @property
    def device(self) -> str:
        """What the library runs on: ``native``, or the name of an emulator."""
        return str(self._ask("device", None))

    def _ask(self, what: str, argument: Any) -> Any:
        assert self._child.stdin is not None and self._child.stdout is not None
        try:
            pickle.dump((what, argument), self._child.stdin)
            self._child.stdin.flush()
            answer = pickle.load(self._child.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise self._died() from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _died(self) -> VerificationError:
        _, said = self._child.communicate()
        code = self._child.returncode
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        return VerificationError(
            f"the library's process ended by {how}" + "".join(f": {line}" for line in last),
            where=str(self._folder),
            hint="please report the model",
        )

    def close(self) -> None:
        """Ends the child."""
        self._child.kill()
        self._child.communicate()

    def __enter__(self) -> IsolatedNet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def same_for_all_threads(run: Callable[[tuple[Array, ...]], Sequence[Array]], threaded: IsolatedNet) -> Any:
    """``run``, which on each call also holds ``threaded`` to the very same bits."""

    def checked(arrays: tuple[Array, ...]) -> Sequence[Array]:
        outputs, others = run(arrays), threaded(arrays)
        if [array.tobytes() for array in outputs] != [array.tobytes() for array in others]:
            raise VerificationError("one thread and several give different bits", hint="please report the model")
        return outputs

    return checked


def _serve(folder: Path, threads: int, device: str | None, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answers requests until the pipe closes; an error of the net is an answer too."""
    from nincc.emulate.cuda.session import emulated_gpu

    with emulated_gpu(folder) as gpu:
        _answer_all(folder, threads, device, requests, answers, gpu)


def _answer_all(
    folder: Path, threads: int, device: str | None, requests: IO[bytes], answers: IO[bytes], gpu: Any
) -> None:
    from nincc.emulate.cuda.session import DEVICE
    from nincc.emulate.device import device_of, load

    net: Any = None
    answer: Any
    while True:
        try:
            what, argument = pickle.load(requests)
        except EOFError:
            return
        try:
            if what == "device":
                answer = DEVICE if gpu else device_of(folder, device)
            else:
                net = net or load(folder, threads, device)
                answer = _answer(net, what, argument)
        except NinccError as error:
            answer = error
        except ValueError as error:  # a wrong number of threads, a wrong shape
            answer = UsageError(str(error), where=str(folder))
        except (RuntimeError, MemoryError) as error:
            answer = DeviceError(str(error), where=str(folder))
        if gpu is not None and gpu.error is not None:
            answer = VerificationError(f"the PTX interpreter stops at {gpu.error}", where=str(folder))
            gpu.error = None
        pickle.dump(answer, answers)
        answers.flush()


def _answer(net: Any, what: str, argument: Any) -> Any:
    if what == "run":
        outputs = net(*argument)
        return outputs if isinstance(outputs, tuple) else (outputs,)
    try:
        return net.selftest()
    except RuntimeError as error:
        if getattr(error, "status", None) == SELFTEST_FAILED:
            return VerificationError(str(error))
        raise


if __name__ == "__main__":
    own_stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing the library prints may mix with the answers
    _serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] or None, sys.stdin.buffer, own_stdout)
