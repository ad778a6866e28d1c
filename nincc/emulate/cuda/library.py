"""Builds the stand-in for NVIDIA's driver library, and gives orders to it."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

from nincc.codegen.toolchain import compile_c, link
from nincc.target import Target

SOURCES = ("stub.c", "stub.h", "stub_api.h", "stub_work.h")
NAME = "libcuda.so.1"


def build_stub(folder: Path, host: Target, without: str = "") -> Path:
    """Compiles the stub into ``folder``; ``without`` names a symbol that it then lacks, as an old driver would."""
    for source in SOURCES:
        shutil.copy(Path(__file__).parent / source, folder)
    if without:
        text = (folder / "stub.c").read_text()
        (folder / "stub.c").write_text(f"#define {without} {without}_is_absent\n{text}")
    compile_c("stub.c", "stub.o", host, "glibc", folder)
    link(["-shared", "-soname", NAME, "--strip-all", "stub.o", "-o", NAME], folder)
    return folder / NAME


class Stub:
    """The stub in this process.  From now on every library here that opens ``libcuda.so.1`` gets it."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path.resolve()))
        self.library.stub_alive.restype = ctypes.c_int

    def configure(self, devices: int = 1, capability: tuple[int, int] = (8, 0)) -> None:
        """How many GPUs there are, and what they can do."""
        self.library.stub_configure(devices, *capability)

    def fail(self, symbol: str, code: int, nth: int = 1) -> None:
        """Makes the ``nth`` call of ``symbol`` from now on give CUDA's error ``code``."""
        self.library.stub_fail(symbol.encode(), code, nth)

    def alive(self) -> int:
        """How many contexts, modules, allocations, streams and graphs have not been given back."""
        return int(self.library.stub_alive())

    def calls(self, symbol: str) -> int:
        """How often ``symbol`` was called so far."""
        return int(self.library.stub_calls(symbol.encode()))
