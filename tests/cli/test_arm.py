"""The commands on an ARM artefact, as users type them on another machine."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

from emulate.arm.nets import DATA, compiled, digits_net
from emulate.arm.toy import toy_artefact
from tests.cli.process import as_json, fail, succeed
from tests.tune.nets import one_product

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="ARM libraries run natively here")


@pytest.fixture(scope="module")
def artefact() -> Path:
    return digits_net("digits_relu", "cortex-a72")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("input") / "in.npz"
    with np.load(DATA / "digits.npz") as digits:
        np.savez(path, image=digits["images"][:1, None].astype(np.float32) / 255, label=digits["labels"][:1])
    with np.load(path) as both:
        np.savez(path, image=both["image"])
    return path


def test_run_says_on_what(artefact: Path, picture: Path) -> None:
    with np.load(DATA / "digits.npz") as digits:
        label = int(digits["labels"][0])
    said = as_json("run", artefact, "--input", picture, "--device", "unicorn")
    assert said["device"] == "unicorn"
    assert said["outputs"][0]["top"][0][0]["class"] == label


def test_verify_against_the_model(artefact: Path) -> None:
    said = as_json("verify", artefact, "--model", DATA / "digits_relu.onnx", "--device", "unicorn")
    assert (said["verdict"], said["device"], said["inputs"]) == ("pass", "unicorn", 4)
    assert "verified (unicorn) on 1 input: selftest" in succeed("verify", artefact, "--device", "unicorn")


def test_a_net_that_copies_its_weights_runs_in_unicorn(tmp_path: Path) -> None:
    """Two megabytes of weights or more are copied when the first context opens, which locks."""
    artefact = compiled(one_product(tmp_path, channels=768), "cortex-a72")
    assert "verified (unicorn) on 1 input: selftest" in succeed("verify", artefact, "--device", "unicorn")


def test_natively_it_is_one_line_and_exit_4(artefact: Path, picture: Path) -> None:
    for command in (["run", artefact, "--input", picture], ["verify", artefact]):
        line = fail(4, *command, "--device", "native")
        assert "compiled for cortex-a72 (aarch64), and this machine is x86_64" in line


def test_one_thread_is_all_that_unicorn_has(artefact: Path) -> None:
    assert "unicorn emulates one thread, not 2" in fail(4, "verify", artefact, "--device", "unicorn", "--threads", 2)


def test_an_unknown_device_is_a_usage_error(artefact: Path) -> None:
    assert "device 'board' is unknown" in fail(2, "verify", artefact, "--device", "board")


@pytest.fixture
def no_unicorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that finds no unicorn."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['unicorn'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("no_unicorn")
def test_counting_without_unicorn_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "qemu-aarch64").touch(0o755)  # runs ARM, but counts nothing
    monkeypatch.setenv("PATH", str(programs))
    line = fail(4, "bench", toy_artefact(tmp_path, "cortex-a72"))
    assert "unicorn is not installed" in line and "pip install 'nincc[arm]'" in line


@pytest.mark.usefixtures("no_unicorn")
def test_without_an_emulator_nothing_is_compiled_but_unproven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without qemu-user, too."""
    monkeypatch.setenv("PATH", "/nowhere")
    line = fail(4, "compile", DATA / "digits_relu.onnx", "--target", "arm", "-o", tmp_path / "out")
    assert "neither qemu-user nor unicorn is installed" in line and "--no-verify" in line
    assert not (tmp_path / "out").exists()


def test_bench_counts_and_refuses_what_needs_a_clock(artefact: Path, tmp_path: Path) -> None:
    toy = toy_artefact(tmp_path, "cortex-a72")
    assert "estimates, not timings" in succeed("bench", toy)
    assert as_json("bench", toy)["instructions"] > 1000
    assert "--against" in fail(2, "bench", toy, "--against", "onnxruntime")


def test_compile_is_verified_in_an_emulator_and_says_so(tmp_path: Path) -> None:
    said = as_json("compile", DATA / "digits_linear.onnx", "--target", "cortex-a7", "-o", tmp_path / "net")
    assert said["verified"] and said["certificate"]["device"] in ("unicorn", "qemu-user")
    assert said["target"]["name"] == "cortex-a7"
