"""What ARM libraries show to the world and want from it: the C library alone, at names that glibc 2.17 has."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.toy_net import toy_driver
from emulate.arm.toy import toy_artefact
from nincc.codegen.driver import api_symbols
from nincc.codegen.toolchain import llvm_tool

LOADERS = {"cortex-a72": set(), "cortex-a7": {"ld-linux-armhf.so.3"}}  # AArch64 finds thread-local data without a call
OLDEST = {"cortex-a72": "GLIBC_2.17", "cortex-a7": "GLIBC_2.4"}
C_LIBRARY = {
    "calloc", "clock_gettime", "__clock_gettime64", "expf", "free", "getauxval", "getpid", "madvise", "malloc",
    "memcpy", "memset", "pthread_cond_broadcast", "pthread_cond_destroy", "pthread_cond_init", "pthread_cond_wait",
    "pthread_create", "pthread_join", "pthread_mutex_destroy", "pthread_mutex_init", "pthread_mutex_lock",
    "pthread_mutex_unlock", "pthread_sigmask", "sched_yield", "sigfillset", "vsnprintf", "__tls_get_addr",
}  # fmt: skip


@pytest.fixture(scope="module", params=LOADERS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def toy(target: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_artefact(tmp_path_factory.mktemp("toy"), target)


def symbols(library: Path, *flags: str) -> set[str]:
    output = llvm_tool("llvm-nm", ["--just-symbol-name", "--extern-only", *flags, library.name], library.parent)
    return {line for line in output.split() if not line.endswith(":")}


def test_only_the_api_is_visible(toy: Path) -> None:
    api = set(api_symbols(toy_driver()))
    assert symbols(toy / "libtoy.a", "--defined-only") == api
    assert symbols(toy / "libtoy.so", "--defined-only", "--dynamic") == api


def test_nothing_but_the_c_library_is_wanted(toy: Path) -> None:
    shared = {entry.partition("@")[0] for entry in symbols(toy / "libtoy.so", "--undefined-only", "--dynamic")}
    assert shared <= C_LIBRARY
    assert symbols(toy / "libtoy.a", "--undefined-only") <= C_LIBRARY


def test_shared_library_names_its_libraries_and_their_versions(toy: Path, target: str) -> None:
    table = llvm_tool("llvm-readelf", ["--dynamic-table", "libtoy.so"], toy)
    needed = {line.split("[")[1].rstrip("]") for line in table.splitlines() if "NEEDED" in line}
    assert needed == {"libc.so.6", "libm.so.6", "libpthread.so.0"} | LOADERS[target]
    assert "TEXTREL" not in table and "RUNPATH" not in table
    undefined = symbols(toy / "libtoy.so", "--undefined-only", "--dynamic")
    versions = dict(entry.split("@", 1) for entry in undefined)
    assert versions["expf"].lstrip("@") == OLDEST[target]
    found = {tuple(int(part) for part in v.lstrip("@").removeprefix("GLIBC_").split(".")) for v in versions.values()}
    assert max(found) <= (2, 17)


def test_32_bit_code_is_for_hard_float(toy: Path, target: str) -> None:
    header = llvm_tool("llvm-readelf", ["--file-header", "libtoy.so"], toy)
    assert ("hard-float" in header or "0x5000400" in header) == (target == "cortex-a7")


def test_musl_library_needs_musl_alone(target: str, tmp_path: Path) -> None:
    toy = toy_artefact(tmp_path, target, "musl")
    table = llvm_tool("llvm-readelf", ["--dynamic-table", "libtoy.so"], toy)
    assert [line.split("[")[1] for line in table.splitlines() if "NEEDED" in line] == ["libc.so]"]
    undefined = symbols(toy / "libtoy.so", "--undefined-only", "--dynamic")
    assert "expf" in undefined and undefined <= C_LIBRARY


def test_same_inputs_same_bytes(toy: Path, target: str, tmp_path: Path) -> None:
    again = toy_artefact(tmp_path, target)
    for path in sorted(toy.iterdir()):
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name
