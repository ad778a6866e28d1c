"""C functions that bench compiles for this machine and calls: what it measures of the CPU itself."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

from nincc.codegen.toolchain import compile_c, link
from nincc.target import Target


def c_function(source: str, name: str, target: Target) -> ctypes._NamedFuncPointer:
    """The function ``name`` of the C text ``source``, compiled for ``target``; the caller sets its types."""
    with tempfile.TemporaryDirectory(prefix=f"nincc-{name}-") as path:
        folder = Path(path)
        (folder / "code.c").write_text(source)
        compile_c("code.c", "code.o", target, "glibc", folder)
        link(["-shared", "code.o", "-o", "code.so"], folder)
        return ctypes.CDLL(str(folder / "code.so"))[name]
