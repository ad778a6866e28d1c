"""Builds libNAME.a and libNAME.so from a net's kernel objects and its generated driver."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nincc.codegen.driver import Driver, api_symbols, driver_sources
from nincc.codegen.stubs import make_stubs
from nincc.codegen.toolchain import assemble, compile_c, link, llvm_tool
from nincc.errors import InternalError
from nincc.target import Target


def build_libraries(
    driver: Driver, kernels: Sequence[Path], expected: bytes, manifest: str, libc: str, work: Path, out: Path
) -> None:
    """Writes ``libNAME.a`` and ``libNAME.so`` into ``out``; ``work`` is an empty folder for what is between.

    ``kernels`` are object files that define the program's kernels; ``expected`` is the selftest's float32
    outputs and ``manifest`` the JSON that the library carries.  Only the API is visible in either library,
    so that any number of nets link into one program.
    """
    for file, text in driver_sources(driver).items():
        (work / file).write_text(text)
    (work / "weights.bin").write_bytes(driver.program.weights)
    (work / "expected.bin").write_bytes(expected)
    (work / "manifest.json").write_text(manifest)
    if driver.program.device is not None:
        (work / "kernels.ptx").write_text(driver.program.device.ptx)
        (work / "kernels.cubin").write_bytes(driver.program.device.cubin)
    compile_c("driver.c", "driver.o", driver.host, libc, work)
    assemble("data.s", "data.o", driver.host, work)
    link(["-r", *map(str, kernels), "driver.o", "data.o", "-o", "all.o"], work)
    _localise(driver, work)
    llvm_tool("llvm-ar", ["rcsD", str(out / f"lib{driver.name}.a"), f"{driver.name}.o"], work)
    _link_shared(driver, libc, work, out)


def relink(archive: Path, more: Sequence[str], target: Target, libc: str, output: str, work: Path) -> Path:
    """Links a static library's code and the objects ``more`` of ``work`` to a shared library there.

    Unlike the one that ships it has all of the code's symbols.
    """
    name = archive.name.removeprefix("lib").removesuffix(".a")
    llvm_tool("llvm-ar", ["x", str(archive.resolve())], work)
    stubs = make_stubs(target, libc, work)
    link(["-shared", "-Bsymbolic", f"{name}.o", *more, *stubs, "-o", output], work)
    return work / output


def _localise(driver: Driver, work: Path) -> None:
    """Hides every symbol but the API, and drops what names files or tools of this build."""
    keep = [f"--keep-global-symbol={symbol}" for symbol in api_symbols(driver)]
    drop = ["--strip-unneeded", "--remove-section=.comment", "--remove-section=.llvm_addrsig"]
    # 32-bit ARM's unwind tables: no exception passes through here, and they would want a C runtime's symbol.
    drop += ["--remove-section=.ARM.exidx*", "--remove-section=.rel.ARM.exidx*"]
    llvm_tool("llvm-objcopy", [*keep, *drop, "all.o", f"{driver.name}.o"], work)
    flags = ["--defined-only", "--extern-only", "--just-symbol-name"]
    defined = llvm_tool("llvm-nm", [*flags, f"{driver.name}.o"], work).split()
    if sorted(defined) != sorted(api_symbols(driver)):
        raise InternalError(f"the library's symbols are not its API: {' '.join(defined)}")


def _link_shared(driver: Driver, libc: str, work: Path, out: Path) -> None:
    symbols = "; ".join(api_symbols(driver))
    (work / "exports.map").write_text(f"{{ global: {symbols}; local: *; }};\n")
    stubs = make_stubs(driver.host, libc, work)
    soname = f"lib{driver.name}.so"
    options = ["-shared", "-soname", soname, "--version-script", "exports.map", "-Bsymbolic"]
    options += ["--no-undefined", "--strip-all", "--hash-style=gnu"]
    hardening = ["-z", "relro", "-z", "now", "-z", "noexecstack"]
    link([*options, *hardening, f"{driver.name}.o", "--as-needed", *stubs, "-o", str(out / soname)], work)
