"""What the linked libraries show to the world, and that nets keep out of each other's way."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from codegen.toy_net import (
    toy_driver,
    toy_input,
    toy_object,
    toy_program,
    toy_reference,
    toy_selftest,
)
from nincc.codegen.driver import Driver, api_symbols, artefact_texts
from nincc.codegen.link import build_libraries
from nincc.codegen.toolchain import compile_c, llvm_tool
from nincc.errors import InternalError

RUNTIME = {"libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2"}


def build(driver: Driver, kernels: Path, folder: Path, libc: str = "glibc", scale: float = 1.0) -> Path:
    """The two libraries and the header, in ``folder / driver.name``."""
    work, out = folder / f"{driver.name}-work", folder / driver.name
    work.mkdir()
    out.mkdir()
    expected = toy_selftest(scale).outputs[0].tobytes()
    build_libraries(driver, [kernels], expected, '{"name": "toy"}', libc, work, out)
    for file, text in artefact_texts(driver).items():
        (out / file).write_text(text)
    return out


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_object(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def toy(kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(toy_driver(), kernels, tmp_path_factory.mktemp("toy"))


def symbols(library: Path, *flags: str) -> set[str]:
    output = llvm_tool("llvm-nm", ["--just-symbol-name", "--extern-only", *flags, str(library)], library.parent)
    return {line for line in output.split() if not line.endswith(":")}


def dynamic_entries(library: Path) -> list[str]:
    output = llvm_tool("llvm-readelf", ["--dynamic-table", str(library)], library.parent)
    return [line.strip() for line in output.splitlines()]


def test_only_the_api_is_visible(toy: Path) -> None:
    api = set(api_symbols(toy_driver()))
    assert symbols(toy / "libtoy.a", "--defined-only") == api
    assert symbols(toy / "libtoy.so", "--defined-only", "--dynamic") == api


def test_shared_library_needs_the_c_library_alone(toy: Path) -> None:
    entries = dynamic_entries(toy / "libtoy.so")
    needed = {line.split("[")[1].rstrip("]") for line in entries if "NEEDED" in line}
    assert needed == RUNTIME
    assert any("SONAME" in line and "[libtoy.so]" in line for line in entries)
    assert not any("RPATH" in line or "RUNPATH" in line or "TEXTREL" in line for line in entries)


def test_symbol_versions_are_those_of_glibc_2_17(toy: Path) -> None:
    undefined = symbols(toy / "libtoy.so", "--undefined-only", "--dynamic")
    versions = {}
    for entry in undefined:
        name, _, version = entry.partition("@")
        versions[name] = tuple(int(part) for part in version.lstrip("@").removeprefix("GLIBC_").split("."))
    assert versions["expf"] == (2, 2, 5)
    assert versions["memcpy"] == (2, 14)
    assert max(versions.values()) <= (2, 17)


def test_versions_exist_in_this_machines_glibc(toy: Path) -> None:
    """The loader checks each symbol's version: BIND_NOW resolves all of them here."""
    library = ctypes.CDLL(str(toy / "libtoy.so"))
    error = ctypes.c_double(-1)
    assert library.toy_selftest(ctypes.byref(error)) == 0
    assert 0 <= error.value < 1e-6


def test_static_library_needs_nothing_else(toy: Path) -> None:
    undefined = symbols(toy / "libtoy.a", "--undefined-only")
    shared = {entry.partition("@")[0] for entry in symbols(toy / "libtoy.so", "--undefined-only", "--dynamic")}
    assert undefined == shared
    assert not any("TVM" in name for name in undefined)


def test_no_trace_of_this_build(toy: Path) -> None:
    for library in ("libtoy.a", "libtoy.so"):
        content = (toy / library).read_bytes()
        for trace in (b"driver.c", b"kernels.c", b"nincc", b"/tmp", bytes(toy.parent)):
            assert trace not in content, (library, trace)


def test_profile_adds_one_function(kernels: Path, tmp_path: Path) -> None:
    out = build(toy_driver(profile=True), kernels, tmp_path)
    assert symbols(out / "libtoy.a", "--defined-only") == {*api_symbols(toy_driver()), "toy_profile"}
    library = ctypes.CDLL(str(out / "libtoy.so"))
    library.toy_close.argtypes = [ctypes.c_void_p]
    context, seconds = ctypes.c_void_p(), (ctypes.c_double * 2)(-1, -1)
    x, y = toy_input(), np.empty((2, 5), np.float32)
    assert library.toy_open(None, ctypes.byref(context)) == 0
    assert library.toy_run(context, ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data)) == 0
    assert library.toy_profile(context, seconds) == 0
    library.toy_close(context)
    assert all(0 <= value < 1 for value in seconds)
    np.testing.assert_allclose(y, toy_reference(x), atol=1e-6)


def test_an_unknown_symbol_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "kernels.c").write_text(
        "#include <stdint.h>\nvoid TVMBackendAllocWorkspace(void);\n"
        "int32_t scale_kernel(const void *, const void *, void *);\n"
        "int32_t scale_kernel(const void *a, const void *b, void *c) "
        "{ (void)a; (void)b; (void)c; TVMBackendAllocWorkspace(); return 0; }\n"
        "int32_t head_kernel(const void *, void *, void *);\n"
        "int32_t head_kernel(const void *a, void *b, void *c) { (void)a; (void)b; (void)c; return 0; }\n"
    )
    compile_c("kernels.c", "kernels.o", toy_driver().target, "glibc", tmp_path)
    with pytest.raises(InternalError, match="TVMBackendAllocWorkspace"):
        build(toy_driver(), tmp_path / "kernels.o", tmp_path)


def test_musl_library_needs_musl_alone(kernels: Path, tmp_path: Path) -> None:
    out = build(toy_driver(), kernels, tmp_path, libc="musl")
    entries = dynamic_entries(out / "libtoy.so")
    assert [line.split("[")[1] for line in entries if "NEEDED" in line] == ["libc.so]"]
    undefined = symbols(out / "libtoy.so", "--undefined-only", "--dynamic")
    assert "expf" in undefined and not any("@" in name for name in undefined)


TWO_NETS = """
#include "toy.h"
#include "other.h"
#include <stdio.h>

static float input[TOY_INPUT_ELEMENTS], a[TOY_OUTPUT_ELEMENTS], b[OTHER_OUTPUT_ELEMENTS];

int main(void)
{
    toy_context *toy;
    other_context *other;
    toy_options options = {.size = sizeof options, .threads = 2};
    other_options other_options_of_mine = {.size = sizeof other_options_of_mine, .threads = 3};
    if (fread(input, sizeof(float), TOY_INPUT_ELEMENTS, stdin) != TOY_INPUT_ELEMENTS) return 1;
    if (toy_open(&options, &toy) != TOY_OK || other_open(&other_options_of_mine, &other) != OTHER_OK) return 2;
    if (toy_run(toy, input, a) != TOY_OK || other_run(other, input, b) != OTHER_OK) return 3;
    if (toy_selftest(NULL) != TOY_OK || other_selftest(NULL) != OTHER_OK) return 4;
    toy_close(toy);
    other_close(other);
    fwrite(a, sizeof a, 1, stdout);
    fwrite(b, sizeof b, 1, stdout);
    return 0;
}
"""


@pytest.mark.parametrize("kind", ["static", "shared"])
def test_two_nets_link_into_one_program(
    gcc: str, toy: Path, kernels: Path, tmp_path: Path, kind: str
) -> None:
    """Both nets have kernels of the same names, and other weights."""
    other = build(toy_driver(name="other", program=toy_program(scale=2.0)), kernels, tmp_path, scale=2.0)
    (tmp_path / "main.c").write_text(TWO_NETS)
    libraries = {
        "static": [str(toy / "libtoy.a"), str(other / "libother.a")],
        "shared": [f"-L{toy}", f"-L{other}", f"-Wl,-rpath,{toy}:{other}", "-ltoy", "-lother"],
    }[kind]
    command = [gcc, "-Wall", "-Wextra", "-Werror", f"-I{toy}", f"-I{other}", "main.c", *libraries, "-omain"]
    subprocess.run([*command, "-lm", "-lpthread"], cwd=tmp_path, check=True)
    x = toy_input()
    output = subprocess.run(["./main"], cwd=tmp_path, input=x.tobytes(), capture_output=True, check=True).stdout
    results = np.frombuffer(output, np.float32).reshape(2, 2, 5)
    np.testing.assert_allclose(results[0], toy_reference(x), atol=1e-6)
    np.testing.assert_allclose(results[1], toy_reference(x, scale=2.0), atol=1e-6)
    assert not np.allclose(results[0], results[1], atol=1e-3)
