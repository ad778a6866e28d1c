"""The generated CUDA driver on a stand-in for NVIDIA's library: every error path, by sanitizers and valgrind."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from codegen.gpu_net import gpu_driver, gpu_input, gpu_reference, write_gpu_sources
from nincc.codegen.driver import Driver, api_symbols, arena_of
from nincc.emulate.cuda.library import SOURCES, build_stub
from nincc.gpu_driver import has_gpu
from nincc.target import host_of, load_target

CHECKS = Path(__file__).with_name("cuda_check.c")
pytestmark = pytest.mark.skipif(has_gpu(), reason="there is a driver here, and the first check is that none is")
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub(tmp_path_factory.mktemp("stub"), host_of(load_target("cuda")))


def build(gcc: str, folder: Path, stub: Path, flags: list[str], driver: Driver | None = None) -> list[str]:
    """The checks with the toy net's sources, compiled by gcc; gives the command that runs them."""
    sources = write_gpu_sources(driver or gpu_driver(), folder)
    gpu_input().tofile(folder / "input.f32")
    gpu_reference(gpu_input()).astype(np.float32).tofile(folder / "output.f32")
    command = [gcc, *STRICT, *flags, "-I.", f"-I{stub.parent}", *sources, str(CHECKS), "-o", "check"]
    done = subprocess.run([*command, "-lm", "-lpthread", "-ldl"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ["./check", str(stub), "input.f32", "output.f32"]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_api_keeps_its_contract_under_sanitizers(gcc: str, tmp_path: Path, stub: Path) -> None:
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    done = run(build(gcc, tmp_path, stub, flags), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks passed" in done.stdout
    assert int(re.findall(r"(\d+) failures injected", done.stdout)[0]) > 25


def test_valgrind_finds_no_error_and_no_leak(gcc: str, valgrind: str, tmp_path: Path, stub: Path) -> None:
    command = build(gcc, tmp_path, stub, ["-O1", "-g"])
    flags = ["--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible"]
    flags.append("--errors-for-leak-kinds=definite,indirect,possible")
    done = run([valgrind, "-q", *flags, *command, "no-fork"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks passed" in done.stdout


def test_the_checks_can_fail(gcc: str, tmp_path: Path, stub: Path) -> None:
    """Other weights than the reference's."""
    done = run(build(gcc, tmp_path, stub, ["-O1"], gpu_driver(scale=1.01)), tmp_path)
    assert done.returncode == 1
    assert "output[i] - expected[i]" in done.stderr


def test_machine_code_that_does_not_fit_leaves_the_ptx(gcc: str, tmp_path: Path, stub: Path) -> None:
    """The stub takes no cubin, as a GPU of another generation would not."""
    done = run(build(gcc, tmp_path, stub, ["-O1"], gpu_driver(cubin=b"\x7fELF another GPU's")), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks passed" in done.stdout


def test_a_driver_without_graphs_is_too_old(gcc: str, tmp_path: Path) -> None:
    old = build_stub(tmp_path, host_of(load_target("cuda")), without="cuGraphLaunch")
    main = '#include "toy.h"\n#include <dlfcn.h>\n#include <stdio.h>\nint main(int n, char **v) { toy_context *c;'
    main += " if (n < 2 || !dlopen(v[1], 2)) return 9; int s = toy_open(0, &c); puts(toy_last_error());"
    (tmp_path / "main.c").write_text(main + " return s; }\n")
    sources = write_gpu_sources(gpu_driver(), tmp_path)
    subprocess.run([gcc, *STRICT, *sources, "main.c", "-omain", "-lm", "-lpthread", "-ldl"], cwd=tmp_path, check=True)
    done = run(["./main", str(old)], tmp_path)
    assert (done.returncode, done.stdout) == (4, "the CUDA driver has no cuGraphLaunch: it is too old\n")


def test_symbols_are_the_api() -> None:
    assert "toy_run_device" in api_symbols(gpu_driver())
    assert "toy_profile" in api_symbols(gpu_driver(profile=True))


def test_the_arena_keeps_everything_apart() -> None:
    program = gpu_driver().program
    arena = arena_of(program)
    starts = [0, arena.workspace, *arena.inputs, *arena.outputs]
    sizes = [len(program.weights), program.workspace_bytes, 64, 8]
    for start, size, following in zip(starts, sizes, [*starts[1:], arena.bytes], strict=True):
        assert start % 256 == 0 and start + size <= following


def test_stub_sources_are_all_there() -> None:
    folder = Path(build_stub.__code__.co_filename).parent
    assert {path.name for path in folder.iterdir() if path.suffix in (".c", ".h")} == set(SOURCES)
