"""Counts what one inference of a GPU artefact does, launch by launch, in the PTX interpreter.

The stub driver cannot be taken out of a process again, so a child does it: ``python -m nincc.emulate.cuda.count
FOLDER`` reads the inputs as a pickle and writes pickles: each launch when it has been done, then None, or the error
that ended the run.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from nincc.emulate.cuda.gpu import Launched
from nincc.emulate.cuda.session import emulated_gpu
from nincc.errors import DeviceError, NinccError, VerificationError
from nincc.runtime import load


def count_launches(folder: Path, inputs: Sequence[Any], tell: Callable[[Launched], None]) -> list[Launched]:
    """The launches of one inference on ``inputs``, in order, with their counts; each is also told when it is done.

    Raises VerificationError where the interpreter objects to a kernel, and what loading the library raises.
    """
    command = [sys.executable, "-m", "nincc.emulate.cuda.count", str(folder)]
    # The child must import this very nincc, also where only this process's sys.path leads to it.
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    try:
        return _listen(child, pickle.dumps(list(inputs)), folder, tell)
    finally:
        child.kill()
        child.communicate()


def _listen(
    child: subprocess.Popen[bytes], inputs: bytes, folder: Path, tell: Callable[[Launched], None]
) -> list[Launched]:
    assert child.stdin is not None and child.stdout is not None
    launches: list[Launched] = []
    try:
        child.stdin.write(inputs)
        child.stdin.flush()
        while (said := pickle.load(child.stdout)) is not None:
            if isinstance(said, Exception):
                raise said
            launches.append(said)
            tell(said)
    except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
        what = f"the library's process ended with status {child.wait()}"
        raise VerificationError(what, where=str(folder), hint="please report the model") from error
    return launches


def _count(folder: Path, inputs: Sequence[Any], answers: IO[bytes]) -> None:
    def say(answer: Any) -> None:
        pickle.dump(answer, answers)
        answers.flush()

    try:
        with emulated_gpu(folder, count=True, detect_races=False, on_launch=say) as gpu:
            assert gpu is not None
            with load(folder) as net:
                try:
                    net(*inputs)
                except RuntimeError as error:
                    if gpu.error is None:
                        raise
                    what = f"the PTX interpreter stops at {gpu.error}"
                    raise VerificationError(what, where=str(folder)) from error
        say(None)
    except NinccError as error:
        say(error)
    except (RuntimeError, MemoryError) as error:
        say(DeviceError(str(error), where=str(folder)))


if __name__ == "__main__":
    own_stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing the library prints may mix with the answers
    _count(Path(sys.argv[1]), pickle.load(sys.stdin.buffer), own_stdout)
