"""Builds one Relay operator the way a compile does, and runs it on arrays with guards around every buffer."""

from __future__ import annotations

import ctypes
import faulthandler
import itertools
import mmap
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import ziglang

from nincc._tvm import tvm
from nincc.codegen.lower import lower
from nincc.codegen.objects import emit_object
from nincc.codegen.toolchain import llvm_tool
from nincc.kernels.ops import call
from nincc.target import Target, load_target, native_target

GUARD = 256
NAN_BYTE = 0xFF  # four of them are a NaN: whatever reads a guard or memory never written shows in the output
ZIG = Path(ziglang.__file__).parent / "zig"

LEVELS = {4: "x86-64-v2", 8: "x86-64-v3", 16: "x86-64-v4"}
_builds = itertools.count()


def lanes_here() -> list[int]:
    """The vector widths whose x86-64 level this machine's CPU runs."""
    return [lanes for lanes in LEVELS if lanes <= native_target().lanes]


def target_of(lanes: int) -> Target:
    return load_target(LEVELS[lanes])


@dataclass
class Guarded:
    """A float32 buffer, 64-byte aligned, with NaN bytes before, behind and (at first) in it."""

    elements: int
    memory: np.ndarray = field(init=False)
    start: int = field(init=False)

    def __post_init__(self) -> None:
        self.memory = np.full(self.elements * 4 + 2 * GUARD + 64, NAN_BYTE, np.uint8)
        self.start = GUARD + -(self.memory.ctypes.data + GUARD) % 64

    @property
    def values(self) -> np.ndarray:
        return self.memory[self.start : self.start + self.elements * 4].view(np.float32)

    @property
    def pointer(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self.memory.ctypes.data + self.start)

    def check(self, what: str) -> None:
        outside = np.concatenate([self.memory[: self.start], self.memory[self.start + self.elements * 4 :]])
        assert (outside == NAN_BYTE).all(), f"{what}: written out of bounds"


class Built:
    """A compiled operator: call it with its input arrays."""

    def __init__(self, name: str, library: Path, scratch: tuple[int, ...], out_shape: tuple[int, ...]) -> None:
        self.entry = ctypes.CDLL(str(library))[name]
        self.entry.restype = ctypes.c_int32
        self.scratch = scratch
        self.out_shape = out_shape

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        """Run it; raises AssertionError if a guard was written or an input changed."""
        sizes = [*(a.size for a in arrays), int(np.prod(self.out_shape)), *(-(-s // 4) for s in self.scratch)]
        buffers = [Guarded(size) for size in sizes]
        for buffer, array in zip(buffers, arrays, strict=False):
            buffer.values[:] = np.asarray(array, np.float32).ravel()
        assert self.entry(*(buffer.pointer for buffer in buffers)) == 0
        for index, buffer in enumerate(buffers):
            buffer.check(f"argument {index}")
        for buffer, array in zip(buffers, arrays, strict=False):
            same = np.array_equal(buffer.values, np.asarray(array, np.float32).ravel(), equal_nan=True)
            assert same, "an input changed"
        return buffers[len(arrays)].values.reshape(self.out_shape).copy()


def stays_inside(built: Built, *arrays: np.ndarray) -> bool:
    """Whether the operator neither reads nor writes outside of its buffers, by pages it may not touch.

    Runs it in child processes: once with every buffer's end at such a page, once with every start.
    """
    return all(_survives(built, arrays, at_end) for at_end in (True, False))


def _survives(built: Built, arrays: tuple[np.ndarray, ...], at_end: bool) -> bool:
    sizes = [*(a.nbytes // a.itemsize * 4 for a in arrays), int(np.prod(built.out_shape)) * 4, *built.scratch]
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        pointers = [_between_forbidden_pages(size, at_end) for size in sizes]
        for pointer, array in zip(pointers, arrays, strict=False):
            ctypes.memmove(pointer, np.ascontiguousarray(array, np.float32).ctypes.data, array.size * 4)
        os._exit(built.entry(*map(ctypes.c_void_p, pointers)))
    return os.waitpid(child, 0)[1] == 0


def _between_forbidden_pages(size: int, at_end: bool) -> int:
    """The address of ``size`` bytes that end (or start) at a page without access rights; never freed."""
    page = mmap.PAGESIZE
    inner = -(-size // page) * page
    memory = mmap.mmap(-1, inner + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for forbidden in (start, start + page + inner):
        assert protect(ctypes.c_void_p(forbidden), page, 0) == 0
    _kept.append(memory)
    return start + page + (inner - size if at_end else 0)


_kept: list[mmap.mmap] = []


def build_op(target: Target, name: str, shapes: list[tuple[int, ...]], **attrs: Any) -> Built:
    """Compile the operator ``name`` for inputs of ``shapes``."""
    return build_function(target, operator(name, shapes, **attrs))


def operator(name: str, shapes: list[tuple[int, ...]], **attrs: Any) -> Any:
    """A Relay function of one call of the operator ``name``."""
    relay = tvm.relay
    names = ("data", "weight", "bias")
    args = [relay.var(n, shape=s, dtype="float32") for n, s in zip(names, shapes, strict=False)]
    return relay.Function(args, call(name, args, layer="test", macs=0, reason="test", **attrs))


def build_function(target: Target, function: Any) -> Built:
    """Compile a Relay function that lowers to a single kernel."""
    name, kernel, path, module = _emit(target, function)
    library = path.with_suffix(".so")
    link([path], library)
    shape = tuple(int(extent) for extent in module["main"].ret_type.concrete_shape)
    return Built(name, library, kernel.scratch_bytes, shape)


def _emit(target: Target, function: Any) -> tuple[str, Any, Path, Any]:
    module = tvm.relay.transform.InferType()(tvm.IRModule.from_expr(function))
    lowered = lower(module, target, threads=4)
    ((name, kernel),) = lowered.kernels.items()
    unique = f"{name}_{next(_builds)}"
    return unique, kernel, emit_object(unique, kernel.func, target, _folder()), module


def assembly(target: Target, name: str, shapes: list[tuple[int, ...]], **attrs: Any) -> list[str]:
    """The operator's disassembly (LLVM's), cut at jumps and at their targets: roughly its basic blocks."""
    path = _emit(target, operator(name, shapes, **attrs))[2]
    text = llvm_tool("llvm-objdump", ["-d", "--no-show-raw-insn", "--symbolize-operands", str(path)], _folder())
    return re.split(r"\n(?:<L\d+>:|[^\n]*\tj[a-z]+\t[^\n]*)", text)


def link(objects: list[Path], library: Path, shim: str = "parallel_shim") -> None:
    """``shim``: the C file that stands in for the thread pool.  -Bsymbolic: TVM's own is in this process too."""
    command = [ZIG, "ld.lld", "-shared", "-Bsymbolic", "-o", library, *objects, _shim(shim)]
    subprocess.run([str(word) for word in command], check=True)


@lru_cache(maxsize=1)
def _folder_handle() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="nincc-kernels-")


def _folder() -> Path:
    return Path(_folder_handle().name)


@lru_cache
def _shim(name: str) -> Path:
    path = _folder() / f"{name}.o"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([str(ZIG), "cc", "-O1", "-fPIC", "-c", str(source), "-o", str(path)], check=True)
    return path


def packed(x: np.ndarray, lanes: int) -> np.ndarray:
    """NCHW → [N, H, W, Cp], with NaN in the padding lanes: no result may depend on them."""
    n, c, h, w = x.shape
    out = np.full((n, h, w, -(-c // lanes) * lanes), np.nan, np.float32)
    out[..., :c] = x.transpose(0, 2, 3, 1)
    return out


def unpacked(y: np.ndarray, channels: int) -> np.ndarray:
    """[N, H, W, Cp] → NCHW."""
    return y[..., :channels].transpose(0, 3, 1, 2)


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float = 2e-6) -> None:
    """Within ``tolerance`` of the largest expected magnitude, everywhere, and no NaN."""
    scale = max(1e-30, float(np.abs(expected).max()))
    error = float(np.abs(actual.astype(np.float64) - expected).max()) / scale
    assert error <= tolerance, f"off by {error:.2e} of the maximum"
