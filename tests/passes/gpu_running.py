"""Runs a pass for a GPU target and the result in the PTX interpreter, against the module before in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.cuda_device import GPU, Run, run_module
from nincc.options import CompileOptions
from nincc.passes.base import Pass
from nincc.passes.pipeline import run_passes
from nincc.passes.record import PassRecord
from passes.running import evaluate

OPTIONS = CompileOptions(target=GPU, shipped_schedules=False)


def apply(before: Any, *steps: Pass) -> tuple[Any, list[PassRecord], Run]:
    """The module after ``steps``, their records, and its run; its results are those of ``before``."""
    after, records = run_passes(before, steps, OPTIONS)
    return after, records, assert_runs_like(before, after)


def assert_runs_like(before: Any, after: Any, seed: int = 7) -> Run:
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal(p.type_annotation.concrete_shape).astype(np.float32) for p in before["main"].params]
    run = run_module(after, inputs)
    for one, two in zip(evaluate(before, [x.astype(np.float64) for x in inputs]), run.outputs, strict=True):
        scale = max(1.0, float(np.abs(one).max()))
        np.testing.assert_allclose(two.reshape(one.shape), one, rtol=0, atol=1e-5 * scale)
    return run
