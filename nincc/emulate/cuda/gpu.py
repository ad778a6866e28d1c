"""A GPU that is not there: the stub driver's device side, its kernels run by the PTX interpreter.

The library under test is the real one, with its own driver code; what it loads as PTX is what it carries.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nincc.emulate.cuda.library import Stub
from nincc.emulate.ptx import Memory, Module

OUT_OF_MEMORY, INVALID_VALUE, INVALID_PTX, LAUNCH_FAILED = 2, 1, 218, 719

_Address = ctypes.c_uint64
_ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Address), ctypes.c_size_t)
_RELEASE = ctypes.CFUNCTYPE(ctypes.c_int, _Address)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _Address, ctypes.c_void_p, ctypes.c_size_t)
_READ = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, _Address, ctypes.c_size_t)
_LOAD = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Address), ctypes.c_char_p)
_Extent = ctypes.POINTER(ctypes.c_uint)
_LAUNCH = ctypes.CFUNCTYPE(
    ctypes.c_int, _Address, ctypes.c_char_p, _Extent, _Extent, ctypes.c_uint, ctypes.POINTER(_Address), ctypes.c_int
)


class _Device(ctypes.Structure):
    """``stub_device`` of stub.h."""

    _fields_ = [
        ("allocate", _ALLOCATE),
        ("release", _RELEASE),
        ("write", _WRITE),
        ("read", _READ),
        ("load", _LOAD),
        ("launch", _LAUNCH),
    ]


@dataclass(frozen=True)
class Launched:
    """One launch that was interpreted, and the interpreter's counts of it (None where it does not count)."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    counts: Any


class EmulatedGpu:
    """Attached to the stub from its making on.

    ``launches`` are those done so far, in order; ``error`` is what the interpreter last objected to: the library gets
    CUDA's general launch failure for it.  ``count`` and ``detect_races`` are the interpreter's options;
    ``on_launch`` is told each launch that has been done.
    """

    def __init__(
        self,
        stub: Stub,
        *,
        count: bool = False,
        detect_races: bool = False,
        on_launch: Callable[[Launched], None] | None = None,
    ) -> None:
        self.memory = Memory()
        self.launches: list[Launched] = []
        self.error: Exception | None = None
        self._on_launch = on_launch
        self._options = {"count": count, "detect_races": detect_races}
        self._modules: list[Module] = []
        # Kept here: the stub holds only its address.
        self._device = _Device(
            _ALLOCATE(self._guarded(self._allocate, OUT_OF_MEMORY)),
            _RELEASE(self._guarded(self.memory.free, INVALID_VALUE)),
            _WRITE(self._guarded(self._write, INVALID_VALUE)),
            _READ(self._guarded(self._read, INVALID_VALUE)),
            _LOAD(self._guarded(self._load, INVALID_PTX)),
            _LAUNCH(self._guarded(self._launch, LAUNCH_FAILED)),
        )
        stub.library.stub_attach(ctypes.byref(self._device))

    def _guarded(self, function: Callable[..., Any], code: int) -> Callable[..., int]:
        """An exception cannot cross C: it is kept, and becomes CUDA's error ``code``."""

        def call(*arguments: Any) -> int:
            try:
                function(*arguments)
            except Exception as error:
                self.error = error
                return code
            return 0

        return call

    def _allocate(self, pointer: Any, size: int) -> None:
        pointer[0] = self.memory.allocate(size)

    def _write(self, to: int, source: int, size: int) -> None:
        self.memory.write(to, ctypes.string_at(source, size))

    def _read(self, to: int, source: int, size: int) -> None:
        ctypes.memmove(to, bytes(self.memory.read(source, size)), size)

    def _load(self, number: Any, text: bytes) -> None:
        self._modules.append(Module(text.decode()))
        number[0] = len(self._modules) - 1

    def _launch(
        self, module: int, name: bytes, grid: Any, block: Any, shared_bytes: int, arguments: Any, count: int
    ) -> None:
        kernel, blocks, threads = name.decode(), tuple(grid[:3]), tuple(block[:3])
        loaded = self._modules[module]
        counts = loaded.launch(kernel, blocks, threads, shared_bytes, arguments[:count], self.memory, **self._options)
        self.launches.append(Launched(kernel, blocks, threads, shared_bytes, counts))
        if self._on_launch is not None:
            self._on_launch(self.launches[-1])
