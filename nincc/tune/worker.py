"""The process that builds, checks and times candidates: ``python -m nincc.tune.worker``, driven by its standard input.

A request is one line of JSON, one trial: name, args and config (AutoTVM's), target (its fields), runner, seed.  The
answers, one line each on what was standard output: ``{"phase": "build"}``, ``{"phase": "run"}`` (and ``board`` while it
waits for one), then ``{"seconds": …}`` or ``{"error": number, "text": …}``.  Where the process dies instead, the last
phase tells at what.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from nincc.errors import DeviceError, NinccError
from nincc.gpu_target import GpuTarget
from nincc.records.format import BAD_CODE, CRASHED, FAILED, WRONG
from nincc.records.workload import Workload
from nincc.target import AnyTarget, Target
from nincc.tune.data import Sample, error_of, make_sample, outputs_of, packed
from nincc.tune.process import BOARD
from nincc.tune.timing import Result

_PR_SET_PDEATHSIG = 1
_EVICTED_L2 = 2  # times the L2 cache that are read between two runs

Tell = Callable[[dict[str, Any]], None]


def trial(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Builds the candidate, holds its output against the reference, and only then gives its time."""
    target = target_of(request["target"])
    tell({"phase": "build"})
    with tempfile.TemporaryDirectory(prefix="nincc-trial-") as folder:
        try:
            candidate = _build(request, target, Path(folder))
        except Exception as error:
            return failure(BAD_CODE, error)
        try:
            off, allowed, seconds, note = _try(candidate, request, target, tell)
        except DeviceError as error:
            broken = type(error).__name__ == "Lost"
            return {**failure(CRASHED if broken else FAILED, error), "lost": True}
        except NinccError as error:
            return failure(CRASHED, error)
    if off > allowed:
        return {"error": WRONG, "text": f"off by {off:.1e} of the largest output, {allowed:.1e} allowed"}
    return {"seconds": seconds, "note": {"off": float(f"{off:.1e}"), **note}}


def _build(request: dict[str, Any], target: AnyTarget, folder: Path) -> Any:
    """A GPU's launch, or a CPU's kernel with what times it."""
    point = request["name"], request["args"], request["config"]
    if isinstance(target, GpuTarget):
        from nincc.tune.launch_trial import build_launch

        return build_launch(*point, target, folder)
    from nincc.tune.candidate import build

    return build(*point, target, folder)


def _try(
    candidate: Any, request: dict[str, Any], target: AnyTarget, tell: Tell
) -> tuple[float, float, float, dict[str, Any]]:
    """Its error, the most that may be, its seconds, and what the record notes of them."""
    if isinstance(target, GpuTarget):
        from nincc.tune.launch_trial import try_launch

        tell({"phase": "run"})
        return try_launch(candidate, target, request["seed"], request["runner"]["kind"])
    sample = _sample(candidate.space.task.workload, request["seed"])
    arrays = packed(candidate.space, candidate.knobs, sample)
    tell({"phase": "run"})
    result = _run(request["runner"], candidate, arrays, target, tell)
    off, allowed = error_of(candidate.space, candidate.knobs, sample, result.output)
    note = {"where": result.where} if result.where else {}
    return off, allowed, result.seconds, {**note, **({"estimate": True} if result.estimate else {})}


def failure(number: int, error: Exception) -> dict[str, Any]:
    """An answer for an exception: its first line."""
    text = str(error).strip().splitlines()
    return {"error": number, "text": f"{type(error).__name__}: {text[-1] if text else ''}"[:300]}


@lru_cache(maxsize=4)
def _sample(workload: Workload, seed: int) -> Sample:
    return make_sample(workload, seed)


def _run(runner: dict[str, Any], candidate: Any, arrays: Any, target: Target, tell: Tell) -> Result:
    space = candidate.space
    lanes, units = space.task.lanes, space.task.workload.product[2]
    outputs = outputs_of(space.task.workload) * -(-units // lanes) * lanes
    job = (candidate.library, arrays, outputs, candidate.scratch_bytes, space.task.threads)
    if runner["kind"] == "local":
        from nincc.tune.run_local import run

        return run(*job, _EVICTED_L2 * target.l2)
    if runner["kind"] == "rpc":
        from nincc.tune.run_rpc import run_remotely

        phases = (lambda: tell({"phase": BOARD}), lambda: tell({"phase": "run"}))
        return run_remotely(runner, *job, _EVICTED_L2 * target.l2, *phases)
    from nincc.tune.run_static import estimate

    return estimate(target, space, candidate.knobs, candidate.library, arrays, outputs, candidate.scratch_bytes)


def target_of(fields: dict[str, Any]) -> AnyTarget:
    """A target of its fields as JSON has them."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return GpuTarget(**values) if "kind" in values else Target(**values)


def main() -> None:
    """Serves trials until standard input ends.  Dies with its parent."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when a worker ends
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what TVM and LLVM print must not mix with the answers

    def tell(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")

    import nincc.tune.candidate  # noqa: F401  the slow part of starting, before the first clock runs

    tell({"phase": "ready"})
    for line in sys.stdin:
        try:
            answer = trial(json.loads(line), tell)
        except Exception as error:  # one trial must not end the others
            answer = failure(FAILED, error)
        tell(answer)


if __name__ == "__main__":
    main()
