"""ptxas, NVIDIA's assembler: optional.  It gives machine code, and tells what each kernel takes of a multiprocessor."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from nincc.codegen.program import Device, Launch, Resources
from nincc.errors import InternalError, ToolError
from nincc.gpu_target import WARP, GpuTarget, reserved_shared

VARIABLE = "NINCC_PTXAS"
PACKAGE = "nvidia-cuda-nvcc"
_REGISTER_UNIT = 256  # registers are given to warps in such units
_FUNCTION = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
    r".*?Used (\d+) registers([^\n]*)",
    re.DOTALL,
)


def find_assembler() -> Path | None:
    """ptxas: what ``NINCC_PTXAS`` names (empty: none), else the one on PATH, else that of the pip package.

    ToolError when ``NINCC_PTXAS`` names no program.
    """
    named = os.environ.get(VARIABLE)
    if named == "":
        return None
    if named is not None:
        found = shutil.which(named)
        if found is None:
            raise ToolError(f"cannot run '{named}'", where=VARIABLE, hint="name ptxas, or leave it empty for none")
        return Path(found)
    found = shutil.which("ptxas")
    return Path(found) if found else _packaged()


def _packaged() -> Path | None:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.name == "ptxas"]
    return next((path for path in paths if path.is_file()), None)


def assemble_ptx(assembler: Path, ptx: str, launches: Mapping[str, Launch], target: GpuTarget, folder: Path) -> Device:
    """The module with its machine code; an assembler that cannot do the target leaves the PTX alone.

    InternalError where ptxas finds the module wrong.
    """
    version = _version(assembler)
    source, output = folder / "kernels.ptx", folder / "kernels.cubin"
    source.write_text(ptx)
    done = _run([str(assembler), f"-arch=sm_{target.sm}", "-v", str(source), "-o", str(output)])
    said = done.stdout + done.stderr
    if done.returncode != 0:
        if "Unsupported .version" in said or "is not defined for option 'gpu-name'" in said:
            return Device(ptx)
        raise InternalError(f"ptxas finds the kernels wrong: {said.strip()[:500]}")
    resources = {
        match[1]: _resources(match, launches[match[1]], target)
        for match in _FUNCTION.finditer(said)
        if match[1] in launches
    }
    return Device(ptx, output.read_bytes(), resources, version)


def _resources(match: re.Match[str], launch: Launch, target: GpuTarget) -> Resources:
    static = re.search(r"(\d+) bytes smem", match[5])
    shared = (int(static[1]) if static else 0) + launch.shared_bytes
    registers = int(match[4])
    spill = int(match[2]) + int(match[3])
    return Resources(registers, spill, shared, occupancy(registers, shared, launch.threads, target))


def occupancy(registers: int, shared: int, threads: int, target: GpuTarget) -> float:
    """The share of a multiprocessor's threads that are resident when it holds as many blocks as it can.

    Source: the CUDA C++ Best Practices Guide, "Occupancy".
    """
    warps = -(-threads // WARP)
    warp_registers = -(-registers * WARP // _REGISTER_UNIT) * _REGISTER_UNIT
    limits = [target.blocks, target.threads // (warps * WARP)]
    limits.append(target.registers // (warp_registers * warps) if registers else target.blocks)
    limits.append(target.shared_per_sm // (shared + reserved_shared(target.sm)) if shared else target.blocks)
    return min(limits) * warps * WARP / target.threads


def _version(assembler: Path) -> str:
    found = re.search(r"\bV(\d+(?:\.\d+)+)", _run([str(assembler), "--version"]).stdout)
    return found[1] if found else "unknown"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}: {error.strerror}") from error
