"""The whole net before and after: compiled by the cost rule and by the records, both run in turn and timed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nincc.artefact import Build, build_artefact, read_manifest
from nincc.bench.contestant import Contestant
from nincc.bench.peers.base import OURS
from nincc.bench.process import save_arrays
from nincc.codegen.child import compile_in_child
from nincc.frontend.model import Model
from nincc.options import CompileOptions
from nincc.tune.options import NetTime
from nincc.tune.timing import robust

ROUNDS = 20
SECONDS = 0.1
"""Bursts of each, and the length of one."""


def measure_net(model: Model, options: CompileOptions, records: Path) -> NetTime:
    """One inference on one thread, by the rule and by ``records``; only one of the two runs at a time."""
    plain = replace(options, verify=False, strict_schedules=False, dump_ir=None, shipped_schedules=False)
    with tempfile.TemporaryDirectory(prefix="nincc-net-") as name:
        work = Path(name)
        data = work / "inputs.npz"
        rng = np.random.default_rng(0)
        save_arrays(data, [rng.standard_normal(spec.shape, dtype=np.float32) for spec in model.inputs])
        contenders = [
            _start(model, replace(plain, schedules=file), work / label, data)
            for label, file in (("before", None), ("after", records))
        ]
        try:
            times = _bursts(contenders)
        finally:
            for contender in contenders:
                contender.close()
    return NetTime(*times)


def _start(model: Model, options: CompileOptions, folder: Path, data: Path) -> Contestant:
    objects, artefact = folder / "objects", folder / "artefact"
    for path in (objects, artefact):
        path.mkdir(parents=True)
    compiled = compile_in_child(model, options, objects)
    build_artefact(artefact, Build(model, compiled.program, compiled.objects, options, compiled.passes), None)
    manifest = read_manifest(artefact)
    contender = Contestant(OURS, folder / "worker")
    contender.start(artefact, 1, _names(manifest["inputs"]), _names(manifest["outputs"]), data)
    return contender


def _names(specs: list[dict[str, Any]]) -> list[str]:
    return [spec["name"] for spec in specs]


def _bursts(contenders: list[Contestant]) -> list[float]:
    seconds: list[list[float]] = [[] for _ in contenders]
    for round_number in range(ROUNDS + 1):
        order = list(enumerate(contenders))
        for index, contender in order if round_number % 2 else reversed(order):
            times = contender.worker.ask("burst", seconds=SECONDS, least=3, warm=2)["seconds"]
            if round_number:  # the first round only warms up
                seconds[index] += times
    return [robust(np.array(times)) for times in seconds]
