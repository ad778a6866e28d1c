"""The time of each kernel, against what the same arithmetic would take at the FMA peak.

The artefact's library has no clocks in it.  So the model is compiled once more, with the options that the manifest
tells, into a library that times its steps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from nincc.artefact import Build, build_artefact, read_manifest
from nincc.bench.peak import Peak
from nincc.bench.peers.base import OURS, Job
from nincc.bench.process import WorkerProcess, save_arrays
from nincc.bench.result import LayerResult
from nincc.bench.subject import Subject
from nincc.codegen.child import compile_in_child
from nincc.errors import UsageError
from nincc.frontend import load_model
from nincc.frontend.maps import with_class_maps
from nincc.kernels.chain_spec import ChainLayer
from nincc.options import CompileOptions
from nincc.target import load_target

CHAIN = "nincc.gemm_chain"
_SECONDS = 1.0  # of inferences whose steps are timed


def profile_layers(subject: Subject, threads: int, seed: int, peak: Peak) -> tuple[LayerResult, ...]:
    """Each kernel's median time, in the order they run; one that runs for parts of a batch stands there once.

    ``subject`` has its model.  Raises what :func:`profile_steps` raises.
    """
    seconds = profile_steps(subject, threads, seed)
    kernels = subject.manifest["kernels"]
    return summed([_layer(kernel, second, peak) for kernel, second in zip(kernels, seconds, strict=True)])


def profile_steps(subject: Subject, threads: int, seed: int) -> list[float]:
    """The median time of each kernel in a build that times them: by the clock on a CPU, by CUDA events on a GPU.

    ``subject`` has its model.  Raises UsageError where compiling that again gives other kernels than the artefact
    has (it was compiled with records that only ``--schedules`` named, or by another nincc).
    """
    with tempfile.TemporaryDirectory(prefix="nincc-layers-") as work:
        artefact = _profiled_artefact(subject, Path(work))
        kernels = read_manifest(artefact)["kernels"]
        if kernels != subject.manifest["kernels"]:
            raise UsageError(
                "compiling the model again gives other kernels",
                where=str(subject.artefact),
                hint="compile it anew, without --schedules",
            )
        return _step_seconds(subject, artefact, threads, seed, Path(work) / "worker")


def _profiled_artefact(subject: Subject, work: Path) -> Path:
    assert subject.model is not None
    manifest = subject.manifest
    options = CompileOptions(
        target=load_target(manifest["target"]["name"]),
        name=manifest["name"],
        batch=manifest["batch"],
        threads=manifest["threads"],
        error_budget=manifest["options"]["error_budget"],
        optimize=manifest["options"]["optimize"],
        libc=manifest["target"]["libc"],
    )
    model = load_model(subject.model, manifest["batch"])
    if manifest["options"]["keep_maps"]:
        model = with_class_maps(model)
    objects, artefact = work / "objects", work / "artefact"
    objects.mkdir()
    artefact.mkdir()
    compiled = compile_in_child(model, options, objects)
    build = Build(model, compiled.program, compiled.objects, options, compiled.passes, profile=True)
    build_artefact(artefact, build, None)
    return artefact


def _step_seconds(subject: Subject, artefact: Path, threads: int, seed: int, folder: Path) -> list[float]:
    """The median time of each step over a second of inferences, after a first tenth that only warms up."""
    worker = WorkerProcess(OURS, folder)
    data = folder / "inputs.npz"
    save_arrays(data, subject.generated_inputs(seed))
    try:
        job = Job((str(artefact),), threads, tuple(subject.inputs), tuple(subject.outputs))
        worker.ask("load", program=OURS, job=asdict(job), inputs=str(data))
        worker.ask("burst", seconds=_SECONDS / 10, least=3, warm=0)
        runs = worker.ask("profile", seconds=_SECONDS, least=5)["steps"]
    finally:
        worker.close()
    return [float(second) for second in np.median(np.asarray(runs), axis=0)]


def summed(results: list[LayerResult]) -> tuple[LayerResult, ...]:
    """The runs of a layer that takes the batch in parts as one row, where the first of them stands."""
    rows: dict[tuple[str, str, str], LayerResult] = {}
    for result in results:
        key = result.layer, result.op, result.algorithm
        before = rows.get(key)
        rows[key] = result if before is None else replace(
            before,
            macs=before.macs + result.macs,
            seconds=before.seconds + result.seconds,
            limit=before.limit + result.limit,
        )  # fmt: skip
    return tuple(rows.values())


def _layer(kernel: Mapping[str, Any], seconds: float, peak: Peak) -> LayerResult:
    return LayerResult(
        layer=kernel["layer"],
        op=kernel["op"],
        algorithm=_algorithm(kernel),
        macs=kernel["macs"],
        seconds=seconds,
        limit=peak.direct_limit(kernel["macs"]) * multiplication_share(kernel),
    )


def _algorithm(kernel: Mapping[str, Any]) -> str:
    name = str(kernel["op"]).removeprefix("nincc.")
    schedule = kernel["schedule"]
    if kernel["op"] == CHAIN:
        return f"{name}, Strassen" if any(schedule["strassen"]) else name
    return f"{name} F({schedule['m']},{schedule['r']})" if _is_winograd(kernel) else name


def multiplication_share(kernel: Mapping[str, Any]) -> float:
    """Multiplications of the kernel's algorithm as a share of the direct convolution's.

    F(m, r) makes m x m outputs of (m + r − 1)² products; a stride s splits the kernel in s² phases of r x r.  The
    tiles' overhang and the transforms are not counted: it is the limit that no such kernel can beat.  Strassen's
    algorithm makes 7 products of 8 for each pair of weight panels; its sums are not counted either.  A direct
    convolution leaves out rows of its kernel that read padding alone, and can beat its limit where there is much.
    """
    if kernel["op"] == CHAIN:
        return _chain_share(kernel["schedule"])
    if not _is_winograd(kernel):
        return 1.0
    schedule = kernel["schedule"]
    m, r = int(schedule["m"]), int(schedule["r"])
    taps, phases = prod(schedule["kernel"]), prod(schedule["strides"])
    return float((m + r - 1) ** 2 * phases / (m * m * taps))


def _chain_share(schedule: Mapping[str, Any]) -> float:
    depths = [schedule["channels"], *schedule["units"][:-1]]
    cut = zip(depths, schedule["units"], schedule["activations"], schedule["strassen"], strict=True)
    lanes, mr = schedule["lanes"], schedule["mr"]
    layers = [ChainLayer(depth, units, name, bool(flag), lanes, mr) for depth, units, name, flag in cut]
    macs = [layer.depth * layer.units for layer in layers]
    return sum(count * layer.multiplications for count, layer in zip(macs, layers, strict=True)) / sum(macs)


def _is_winograd(kernel: Mapping[str, Any]) -> bool:
    return {"m", "r", "kernel", "strides"} <= set(kernel["schedule"])
