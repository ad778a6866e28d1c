"""The whole net before and after: compiled by the cost rule and by the records, both run in turn and timed.

A GPU's net is timed by events, from device memory to device memory.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nincc.bench.contestant import WARM, Contestant
from nincc.bench.peers.base import OURS
from nincc.bench.process import save_arrays
from nincc.frontend.model import Model
from nincc.options import CompileOptions
from nincc.tune.build_net import Built, build_net, plain
from nincc.tune.options import NetTime
from nincc.tune.timing import robust

ROUNDS = 20
SECONDS = 0.1
"""Bursts of each, and the length of one."""


def measure_net(model: Model, options: CompileOptions, records: Path) -> NetTime:
    """One inference, on one thread or the GPU, by the rule and by ``records``; only one of the two runs at a time."""
    with tempfile.TemporaryDirectory(prefix="nincc-net-") as name:
        work = Path(name)
        data = work / "inputs.npz"
        rng = np.random.default_rng(0)
        save_arrays(data, [rng.standard_normal(spec.shape, dtype=np.float32) for spec in model.inputs])
        contenders = [
            _Contender(build_net(model, plain(options, file), work / label), work / label / "worker", data)
            for label, file in (("before", None), ("after", records))
        ]
        try:
            times = _bursts(contenders)
        finally:
            for contender in contenders:
                contender.close()
    before, after = times
    return NetTime(before, after)


class _Contender(Contestant):
    """One of the two builds, loaded in a process of its own."""

    def __init__(self, built: Built, folder: Path, data: Path) -> None:
        super().__init__(OURS, folder)
        manifest = built.manifest
        self._gpu = {"artefact": str(built.folder)} if "sm" in manifest["target"] else {}
        self.start(built.folder, 1, _names(manifest["inputs"]), _names(manifest["outputs"]), data)

    def seconds(self) -> list[float]:
        """What the inferences of a burst took."""
        how = ("events", self._gpu) if self._gpu else ("burst", {"warm": WARM})
        times: list[float] = self.worker.ask(how[0], seconds=SECONDS, least=3, **how[1])["seconds"]
        return times


def _names(specs: list[dict[str, Any]]) -> list[str]:
    return [spec["name"] for spec in specs]


def _bursts(contenders: list[_Contender]) -> list[float]:
    seconds: list[list[float]] = [[] for _ in contenders]
    for round_number in range(ROUNDS + 1):
        order = list(enumerate(contenders))
        for index, contender in order if round_number % 2 else reversed(order):
            times = contender.seconds()
            if round_number:  # the first round only warms up
                seconds[index] += times
    return [robust(np.array(times)) for times in seconds]
