"""Device functions to PTX text: each alone through LLVM, then all in one module."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nincc._tvm import tvm
from nincc.codegen.cuda.legalise import legalise
from nincc.codegen.cuda.machine import code_target
from nincc.codegen.cuda.split import launch_of
from nincc.codegen.program import Launch
from nincc.errors import InternalError
from nincc.gpu_target import MOST_REGISTERS, STATIC_SHARED, GpuTarget

_BACKEND = "tvm.codegen.llvm.target_nvptx64"
_DYNAMIC = "nincc_shared"
_SHARED = re.compile(r"^(?:\.\w+ )*?\.shared \.align \d+ \.b8 (\w+)\[(\d*)\];\n", re.MULTILINE)
_TABLE = re.compile(r"^(?:\.\w+ )*?\.(global|const) (\.align \d+ \.\w+) (\w+)(\[.*;)\n", re.MULTILINE)


@dataclass(frozen=True)
class KernelText:
    """A kernel's part of the module: its declarations and its entry.

    ``static`` and ``dynamic`` are bytes of shared memory; it declares the first and is given the second at launch.
    """

    name: str
    text: str
    static: int
    dynamic: int


def emit_kernel(name: str, func: Any, target: GpuTarget, folder: Path) -> KernelText:
    """The PTX entry ``name`` of the device function ``func``.

    LLVM may abort the process on a bad module: call in a child process.  ``folder`` takes a file of LLVM's text form.
    """
    if tvm.get_global_func(_BACKEND, allow_missing=True) is None:
        # TVM looks its back end up by the triple's architecture, and knows 32-bit PTX only.
        tvm.register_func(_BACKEND, tvm.get_global_func("tvm.codegen.llvm.target_nvptx"))
    module = tvm.IRModule({name: legalise(_prepared(func)).with_attr("global_symbol", name)})
    machine = code_target(target)
    module = tvm.tir.transform.BindTarget(machine)(module)
    module = tvm.tir.transform.LowerIntrin()(module)
    text = tvm.get_global_func("target.build.llvm")(module, machine).get_source("ll")
    file = folder / f"{name}.ll"
    file.write_text(text)
    # Reading it again upgrades the metadata that marks kernels to the calling convention that LLVM 22 wants.
    ptx = tvm.get_global_func("runtime.module.loadfile_ll")(str(file), "ll").get_source("asm")
    return _kernel_text(name, _bounded(ptx, launch_of(func), target))


def _bounded(ptx: str, launch: Launch, target: GpuTarget) -> str:
    """The entry told the threads of its blocks where so many cannot have all the registers that a thread may want.

    Elsewhere ptxas is not told: it would hold registers back for more blocks, and spill.
    """
    if launch.threads * (MOST_REGISTERS + 1) <= target.registers:  # they are given in eights
        return ptx
    extents = ", ".join(map(str, launch.block))
    return re.sub(r"^\)\n\{", f")\n.reqntid {extents}\n{{", ptx, count=1, flags=re.MULTILINE)


def _prepared(func: Any) -> Any:
    transform = tvm.tir.transform
    module = tvm.IRModule({"main": func})
    passes = [transform.LowerWarpMemory(), transform.Simplify(), transform.LowerDeviceStorageAccessInfo()]
    return tvm.transform.Sequential(passes)(module)["main"]


def _kernel_text(name: str, ptx: str) -> KernelText:
    """The entry alone, its arrays under names of its own, or its shared ones at places in one dynamic array."""
    entry = re.search(rf"^\.visible \.entry {name}\(.*?^}}\n", ptx, re.MULTILINE | re.DOTALL)
    if entry is None:
        raise InternalError(f"LLVM made no kernel of '{name}'")
    body, declared = entry[0], ""
    for number, match in enumerate(_TABLE.finditer(ptx)):
        declared += f".{match[1]} {match[2]} {name}_table{number}{match[4]}\n"
        body = re.sub(rf"\b{match[3]}\b", f"{name}_table{number}", body)
    arrays = {match[1]: int(match[2] or 0) for match in _SHARED.finditer(ptx)}
    total = sum(_up(size) for size in arrays.values())
    if total > STATIC_SHARED:
        return KernelText(name, declared + _at_offsets(body, arrays), 0, total)
    for number, (array, size) in enumerate(arrays.items()):
        declared += f".shared .align 16 .b8 {name}_shared{number}[{size}];\n"
        body = re.sub(rf"\b{array}\b", f"{name}_shared{number}", body)
    return KernelText(name, declared + body, total, 0)


def _at_offsets(body: str, arrays: dict[str, int]) -> str:
    """More than the static limit: every array becomes a place in the launch's dynamic shared memory."""
    offset = 0
    for array, size in arrays.items():
        body = re.sub(rf"\b{array}\b", f"{_DYNAMIC}+{offset}" if offset else _DYNAMIC, body)
        offset += _up(size)
    return body


def _up(size: int) -> int:
    return -(-size // 16) * 16


def join_module(kernels: Sequence[KernelText], target: GpuTarget) -> str:
    """One PTX module of all kernels."""
    header = f".version {target.ptx}\n.target sm_{target.sm}\n.address_size 64\n"
    if any(kernel.dynamic for kernel in kernels):
        header += f"\n.extern .shared .align 16 .b8 {_DYNAMIC}[];\n"
    return header + "".join(f"\n{kernel.text}" for kernel in kernels)
