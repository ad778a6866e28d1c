"""The artefact's example.c, compiled as its first lines say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from codegen.toy_net import ToyModel, toy_input, toy_object, toy_options, toy_program, toy_reference, toy_selftest
from nincc.artefact import write_artefact


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artefact") / "toy"
    kernels = toy_object(tmp_path_factory.mktemp("kernels"))
    write_artefact(out, ToyModel(), toy_program(), [kernels], toy_options(), [], None, toy_selftest())  # type: ignore[arg-type]
    return out


@pytest.fixture(scope="module")
def example(gcc: str, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", f"-I{toy}"]
    command = [gcc, *flags, str(toy / "example.c"), str(toy / "libtoy.a"), "-lm", "-lpthread", "-o", "example"]
    subprocess.run(command, cwd=folder, check=True)
    toy_input().tofile(folder / "input.f32")
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["./example", *arguments], cwd=folder, capture_output=True, text=True)


def test_example_runs_the_selftest(example: Path) -> None:
    assert "selftest passed" in run(example).stdout


def test_example_prints_the_top_class_of_each_image(example: Path) -> None:
    done = run(example, "input.f32")
    top = toy_reference(toy_input()).argmax(axis=1)
    assert [line.split()[3] for line in done.stdout.splitlines()] == [str(index) for index in top]


def test_example_says_what_is_wrong_with_a_file(example: Path) -> None:
    (example / "short.f32").write_bytes(bytes(8))
    (example / "long.f32").write_bytes(bytes(4 * 97))
    assert "takes 96 float32 values, the file has fewer" in run(example, "short.f32").stderr
    assert "the file has more" in run(example, "long.f32").stderr
    assert "missing.f32" in run(example, "missing.f32").stderr
    assert run(example, "a", "b").returncode == 2


def test_example_is_clean_under_valgrind(example: Path, valgrind: str) -> None:
    flags = ["-q", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all"]
    for arguments in ([], ["input.f32"]):
        done = subprocess.run(
            [valgrind, *flags, "--errors-for-leak-kinds=all", "./example", *arguments],
            cwd=example, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
