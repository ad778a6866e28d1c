"""A bench result made of round numbers."""

from __future__ import annotations

from nincc.bench.peak import Peak
from nincc.bench.result import BenchResult, LayerResult, Machine, ProgramResult
from nincc.bench.statistics import summarise

COSTS = {"import_s": 0.01, "load_s": 0.02, "first_s": 0.03, "peak_bytes": 10**6, "library_bytes": 10**6}


def program(name: str, seconds: float) -> ProgramResult:
    """A program whose times spread by a tenth around ``seconds``."""
    timing = summarise([seconds * factor for factor in (0.95, 1.0, 1.05)])
    return ProgramResult(name, "1.0", timing=timing, difference=1e-7, model_bytes=0, **COSTS)


def made_up_result(layers: bool = False, **values: object) -> BenchResult:
    """nin-cifar10 at 2 ms, ONNX Runtime at 5 ms, MNN at 4 ms, ncnn not timed; peak 100 GFLOPS."""
    programs = (
        program("nincc", 2e-3),
        program("onnxruntime", 5e-3),
        ProgramResult("ncnn", "1.0", note="it failed"),
        program("mnn", 4e-3),
    )
    found = (
        LayerResult("conv1", "nincc.conv2d", "conv2d", 10_000_000, 4e-4, 2e-4),
        LayerResult("pool1", "nincc.pool2d", "pool2d", 0, 1e-4, 0.0),
    )
    given = {
        **{"artefact": "build/nin", "model": "nin-cifar10", "target": "x86-64-v3", "batch": 1, "macs": 100_000_000},
        **{"threads": 1, "machine": Machine("A CPU", 2, "x86-64-v3", 0.0), "peak": Peak("x86-64-v3", 8, 1, 100.0)},
        **{"host_peak": None, "programs": programs, "layers": found if layers else ()},
    }
    return BenchResult(**{**given, **values})
