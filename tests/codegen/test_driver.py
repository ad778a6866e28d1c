"""The generated C under a second compiler, its sanitizers and valgrind, driven by driver_check.c."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from codegen.toy_net import toy_driver, toy_input, toy_program, toy_reference, write_sources
from nincc.codegen.driver import Driver

CHECKS = Path(__file__).with_name("driver_check.c")
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def build(gcc: str, folder: Path, flags: list[str], driver: Driver | None = None) -> Path:
    """The checks with the toy net's sources, compiled by gcc."""
    sources = write_sources(driver or toy_driver(), folder)
    toy_input().tofile(folder / "input.f32")
    toy_reference(toy_input()).astype(np.float32).tofile(folder / "output.f32")
    command = [gcc, *STRICT, *flags, "-I.", *sources, str(CHECKS), "-o", "check", "-lm", "-lpthread"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "check"


MANY_WEIGHTS = toy_driver(program=toy_program(ahead=5 << 20))
"""So many that contexts read a copy of them."""


def run(command: list[str], folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*command, "input.f32", "output.f32", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def assert_passes(command: list[str], folder: Path, *options: str) -> None:
    done = run(command, folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks passed" in done.stdout


@pytest.mark.parametrize("driver", [toy_driver(), MANY_WEIGHTS], ids=["few weights", "many weights"])
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_api_keeps_its_contract_under_sanitizers(gcc: str, tmp_path: Path, sanitizer: str, driver: Driver) -> None:
    flags = ["-O1", "-g", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    check = build(gcc, tmp_path, flags, driver)
    assert_passes([str(check)], tmp_path)


def test_api_keeps_its_contract_optimised(gcc: str, tmp_path: Path) -> None:
    assert_passes([str(build(gcc, tmp_path, ["-O3"]))], tmp_path)


@pytest.mark.parametrize("driver", [toy_driver(), MANY_WEIGHTS], ids=["few weights", "many weights"])
def test_valgrind_finds_no_error_and_no_leak(gcc: str, valgrind: str, tmp_path: Path, driver: Driver) -> None:
    check = build(gcc, tmp_path, ["-O1", "-g"], driver)
    flags = ["--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all", "--errors-for-leak-kinds=all"]
    assert_passes([valgrind, "-q", *flags, str(check)], tmp_path, "no-fork")


def test_the_checks_can_fail(gcc: str, tmp_path: Path) -> None:
    """Other weights than the reference's."""
    check = build(gcc, tmp_path, ["-O1"], toy_driver(program=toy_program(scale=1.01)))
    done = run([str(check)], tmp_path)
    assert done.returncode == 1
    assert "first[i] - expected[i]" in done.stderr


def test_selftest_reports_what_is_off(gcc: str, tmp_path: Path) -> None:
    sources = write_sources(toy_driver(program=toy_program(scale=1.01)), tmp_path)
    (tmp_path / "main.c").write_text(
        '#include "toy.h"\n#include <stdio.h>\nint main(void) { double e; int s = toy_selftest(&e);'
        ' printf("%d %g %s", s == TOY_ERROR_SELFTEST, e, toy_last_error()); return 0; }\n'
    )
    subprocess.run([gcc, *STRICT, *sources, "main.c", "-omain", "-lm", "-lpthread"], cwd=tmp_path, check=True)
    said = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    status, error, *words = said.split()
    assert (status, words[:4]) == ("1", ["results", "differ", "by", words[3]])
    assert 1e-5 < float(error) < 0.1


def test_header_is_cxx_too(gcc: str, tmp_path: Path) -> None:
    write_sources(toy_driver(), tmp_path)
    (tmp_path / "main.cc").write_text(
        '#include "toy.h"\nint main() { toy_context *c = 0; return toy_open(0, &c) == TOY_OK; }\n'
    )
    flags = ["-x", "c++", "-std=c++11", *STRICT[1:], "-fsyntax-only"]
    done = subprocess.run([gcc, *flags, "main.cc"], cwd=tmp_path, capture_output=True, text=True)
    if "cc1plus" in done.stderr:
        pytest.skip("g++ is not installed")
    assert done.returncode == 0, done.stderr
