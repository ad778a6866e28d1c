"""Everything a tuning can be told, and what it tells meanwhile and at its end.  No TVM in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RUNNERS = ("local", "rpc", "static")


@dataclass(frozen=True)
class TuneOptions:
    """How to tune.

    ``trials`` counts all that the file holds for the net, those of earlier runs too.  ``timeout`` is in seconds, a
    trial; a task ends after ``early_stop`` trials without an improvement.  ``tracker`` is ``HOST:PORT`` and ``key`` the
    boards' name there (rpc).  ``worker`` is the module that builds and times.
    """

    trials: int = 300
    timeout: float = 60.0
    early_stop: int = 40
    seed: int = 0
    runner: Literal["local", "rpc", "static"] = "local"
    tracker: str = ""
    key: str = ""
    measure_net: bool = True
    worker: str = "nincc.tune.worker"


@dataclass(frozen=True)
class TaskState:
    """One task as it stands: ``now`` is its last trial's time, ``points`` the kernels within the error budget.

    Times are None where nothing ran right.  ``rule_instructions`` and ``best_instructions`` are those of a GPU's launch
    (0: not counted), by which kernels are chosen too.
    """

    name: str
    layers: tuple[str, ...]
    macs: int
    bytes: int
    points: int
    algorithms: tuple[str, ...]
    trials: int = 0
    failed: int = 0
    rule: float | None = None
    best: float | None = None
    now: float | None = None
    rule_instructions: int = 0
    best_instructions: int = 0
    schedule: str = ""
    estimated: bool = False

    def gflops(self, seconds: float | None) -> float:
        """Billions of operations a second of the layer as the graph defines it; 0 without a time."""
        return 2e-9 * self.macs / seconds if seconds else 0.0

    @property
    def instruction_share(self) -> float | None:
        """The best kernel's instructions as a share of the cost rule's."""
        return self.best_instructions / self.rule_instructions if self.rule_instructions else None

    @property
    def gain(self) -> float | None:
        """The best time as a share of the cost rule's."""
        return self.best / self.rule if self.best and self.rule else None


@dataclass(frozen=True)
class Progress:
    """Where a tuning stands: the index of the task whose trial just ended, and seconds to the end at most."""

    tasks: tuple[TaskState, ...]
    last: int
    done: int
    total: int
    remaining: float
    peak_gflops: float


@dataclass(frozen=True)
class NetTime:
    """The whole net, run: an inference's seconds, by the cost rule and by the records.

    Measured, the lower quartile; ``estimated``, modelled from one emulated inference.  On a GPU the instructions of
    all threads too (0: not counted).
    """

    before: float
    after: float
    estimated: bool = False
    before_instructions: int = 0
    after_instructions: int = 0


@dataclass(frozen=True)
class Tuned:
    """What a tuning found.  ``net`` is None where the net was not run."""

    records: str
    runner: str
    tasks: tuple[TaskState, ...]
    trials: int
    net: NetTime | None
    peak_gflops: float
    notes: tuple[str, ...]
