"""The lines of a records file: one header, then a trial a line as AutoTVM writes it.

    # {"format": 1, "kernels": 1, "target": {…}, "machine": "…", "model": {…}, "runner": "local", …}
    {"input": ["llvm …", "nincc.conv2d/1", […], {}], "config": {"entity": [["m", "ot", 4], …], …},
     "result": [[seconds], error_no, elapsed, timestamp], "version": 0.2, "tvm_version": "0.19.0", "nincc": {…}}

AutoTVM's own reader reads such a file: it takes the header for a comment and skips the key ``nincc``, which holds what
it has no place for: ``off``, the error found; ``estimate``; with a GPU's launch's estimate, ``instructions`` of all
threads and ``issue``, the seconds in which its card issues them; of a failure, ``error`` and what was ``said``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nincc.gpu_target import GpuTarget
from nincc.kernels.spec import most_rows
from nincc.records.space import Knobs
from nincc.records.spaces import space_of
from nincc.records.task import Task, parse_task
from nincc.records.versions import CUDA, version_of
from nincc.records.workload import LAUNCH
from nincc.target import AnyTarget

FORMAT = 1
AUTOTVM_VERSION = 0.2

ERRORS = {
    0: "",
    1: "no kernel",
    2: "code generation failed",
    4: "crashed",
    5: "wrong result",
    6: "code generation took too long",
    7: "ran too long",
    8: "failed",
}
"""AutoTVM's error numbers (its ``MeasureErrorNo``), in words."""
BAD_KNOBS, BAD_CODE, CRASHED, WRONG, SLOW_CODE, SLOW_RUN, FAILED = 1, 2, 4, 5, 6, 7, 8


class Refused(ValueError):
    """A file or line that is whole, but not for this use; the text names what differs."""


def machine_of(target: AnyTarget) -> dict[str, Any]:
    """What of a target decides its code: records of another machine are refused."""
    if isinstance(target, GpuTarget):
        return {
            "name": target.name, "kind": CUDA, "sm": target.sm, "card": target.card, "sm_count": target.sm_count,
            "shared_per_block": target.shared_per_block, "shared_per_sm": target.shared_per_sm, "lanes": target.lanes,
        }  # fmt: skip
    return {
        "name": target.name, "triple": target.triple, "cpu": target.cpu, "features": list(target.features),
        "lanes": target.lanes, "rows": most_rows(target),
    }  # fmt: skip


@dataclass(frozen=True)
class Header:
    """The first line of a file.

    ``target`` is :func:`machine_of` it, ``machine`` the CPU that timed, ``model`` its name and sha256 (empty in a
    file of several models), ``peak_gflops`` and ``read_gbs`` what that CPU's core can do at most (0: not known).
    """

    target: dict[str, Any]
    runner: str
    machine: str = ""
    model: dict[str, str] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    peak_gflops: float = 0.0
    read_gbs: float = 0.0
    kernels: int = -1
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.kernels < 0:  # a header of this nincc's own
            object.__setattr__(self, "kernels", version_of(self.target))

    def line(self) -> str:
        """The line, its end included."""
        return "# " + json.dumps(asdict(self), ensure_ascii=False) + "\n"

    @staticmethod
    def parse(line: str) -> Header:
        """The header in a line; ValueError where it is none, Refused where it is of another format or version."""
        data = json.loads(line.removeprefix("#")) if line.startswith("#") else None
        if not isinstance(data, dict) or "format" not in data:
            raise ValueError("not a header of tuned records")
        if data["format"] != FORMAT:
            raise Refused(f"records of format {data['format']}, this nincc reads {FORMAT}")
        known = {key: data[key] for key in Header.__dataclass_fields__ if key in data}
        if not isinstance(known.get("target"), dict) or "name" not in known["target"]:
            raise ValueError("a header that names no target")
        mine = version_of(known["target"])
        if data.get("kernels") != mine:
            raise Refused(f"records of kernel version {data.get('kernels')}, this nincc has {mine}")
        return Header(**{"runner": "", **known})

    def require(self, target: AnyTarget) -> None:
        """Refused unless the records are for ``target``."""
        mine = machine_of(target)
        if self.target["name"] != mine["name"]:
            raise Refused(f"records for target {self.target['name']}, not {mine['name']}")
        different = [key for key, value in mine.items() if self.target.get(key) != value]
        if different:
            key = different[0]
            raise Refused(f"records for a {mine['name']} whose {key} is {self.target.get(key)}, not {mine[key]}")


class Trial:
    """What a trial showed, as it happens or as a record tells: ``seconds`` are None where it failed with ``error``."""

    seconds: float | None
    error: int
    note: Mapping[str, Any]

    @property
    def condemns(self) -> bool:
        """Whether the kernel is not to be used, whatever other trials of it gave; taking too long is no such fault."""
        return self.seconds is None and self.error not in (SLOW_CODE, SLOW_RUN)

    @property
    def estimated(self) -> bool:
        """Whether the time was computed, not measured."""
        return bool(self.note.get("estimate"))

    @property
    def instructions(self) -> int:
        """What all threads of a GPU's launch execute; 0 where that was not counted."""
        return int(self.note.get("instructions", 0))

    @property
    def issue(self) -> float:
        """Seconds in which the GPU's reference card issues them; 0 where they were not counted."""
        return float(self.note.get("issue", 0.0))


@dataclass(frozen=True)
class Entry(Trial):
    """One trial: ``seconds`` is None where it failed, ``error`` then says how (a key of ERRORS).

    ``note`` is what nincc adds: the reason in words, and where it ran.  ``text`` is the line itself.
    """

    task: Task
    knobs: Knobs
    seconds: float | None
    error: int
    elapsed: float
    timestamp: float
    note: Mapping[str, Any]
    number: int
    text: str = field(repr=False)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two trials trials of the same kernel."""
        return (self.task, *sorted(self.knobs.items()))

    @staticmethod
    def parse(line: str, number: int, kernels: int | None = None) -> Entry:
        """The trial in a line; ValueError where it is none, Refused where it is of another version.

        ``kernels`` is the version of the file's header (None: any will do).
        """
        data = json.loads(line)
        try:
            _, name, args, _ = data["input"]
            costs, error, elapsed, timestamp = data["result"]
            knobs = {str(key): value for key, kind, value in data["config"]["entity"]}
            version = data["version"]
            note = data.get("nincc", {})
            seconds = float(costs[0]) if error == 0 else None
            counted = int(note.get("instructions", 0)) > 0 and 0 < float(note.get("issue", 0)) < 1e6
        except (KeyError, TypeError, IndexError, AttributeError) as failure:
            raise ValueError(f"not a tuning record ({failure})") from failure
        if version != AUTOTVM_VERSION:
            raise Refused(f"AutoTVM's record version {version}, this is {AUTOTVM_VERSION}")
        task = _task(str(name), args)
        if kernels not in (None, task.version):
            raise Refused(f"kernel version {task.version}, this is {kernels}")
        if not space_of(task).allows(knobs):
            raise ValueError(f"knobs that no kernel has: {knobs}")
        if seconds is not None and not 0 < seconds < 1e6:
            raise ValueError(f"a time of {seconds} s")
        if task.workload.kind == LAUNCH and seconds is not None and note.get("estimate") and not counted:
            raise ValueError("a launch's estimate without its instructions")
        return Entry(task, knobs, seconds, int(error), float(elapsed), float(timestamp), note, number, line)


def _task(name: str, args: Any) -> Task:
    try:
        return parse_task(name, args)
    except ValueError:
        raise  # it says what is wrong
    except Exception as failure:  # arguments of any shape
        raise ValueError(f"not a task of nincc: {failure}") from failure
