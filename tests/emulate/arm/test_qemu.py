"""Whole programs under qemu-user: the static library with its threads, and a C program as users write it."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from codegen.toy_net import FAIL_VALUE, toy_input, toy_reference
from emulate.arm.nets import digits_net
from emulate.arm.toy import toy_artefact
from nincc.artefact import read_manifest
from nincc.codegen.toolchain import link_program
from nincc.emulate import QEMU, UNICORN, load
from nincc.emulate.arm.qemu import QemuNet, qemu_command
from nincc.errors import DeviceError, VerificationError
from nincc.target import cpu_target

PROGRAMS = {"cortex-a72": "qemu-aarch64", "cortex-a7": "qemu-arm"}
BOARD = Path(__file__).resolve().parents[3] / "examples" / "board"


def require(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module", params=PROGRAMS)
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    require(PROGRAMS[request.param])
    return toy_artefact(tmp_path_factory.mktemp("toy"), request.param)


@pytest.mark.parametrize("threads", [1, 4])
def test_outputs_are_those_of_the_net(toy: Path, threads: int) -> None:
    net = load(toy, threads, QEMU)
    for seed in range(3):
        x = toy_input(seed)
        np.testing.assert_allclose(net(x), toy_reference(x), atol=1e-6)
    assert 0 <= net.selftest() < 1e-6


def test_errors_are_the_librarys_own_words(toy: Path) -> None:
    net = load(toy, 2, QEMU)
    x = toy_input()
    x.flat[0] = FAIL_VALUE
    with pytest.raises(VerificationError, match="a kernel failed in layer conv1"):
        net(x)
    np.testing.assert_allclose(net(toy_input(1)), toy_reference(toy_input(1)), atol=1e-6)
    with pytest.raises(ValueError, match="takes float32"):
        net(x.astype(np.float64))


def test_a_core_without_neon_or_fma_gets_an_error_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("qemu-arm")
    folder = toy_artefact(tmp_path, "cortex-a7")
    monkeypatch.setattr("nincc.emulate.arm.qemu._CPUS", {"cortex-a8"})
    manifest = read_manifest(folder)
    manifest["target"]["cpu"] = "cortex-a8"
    with pytest.raises(DeviceError, match="lacks vfpv4, which cortex-a7 needs"):
        QemuNet(folder, manifest)


def test_a_64_bit_core_without_atomics_gets_an_error_and_no_crash(tmp_path: Path) -> None:
    require("qemu-aarch64")
    folder = toy_artefact(tmp_path, "neoverse-n1")
    manifest = read_manifest(folder)
    manifest["target"]["cpu"] = "cortex-a72"
    with pytest.raises(DeviceError, match="lacks atomics, which neoverse-n1 needs"):
        QemuNet(folder, manifest)


def test_a_program_that_ends_is_an_error(toy: Path) -> None:
    net = load(toy, 1, QEMU)
    net._child.kill()
    with pytest.raises(VerificationError, match="ended with status -9 under qemu-user"):
        net(toy_input())


@pytest.mark.parametrize("target", PROGRAMS)
def test_bits_are_the_same_for_every_count_of_threads_and_on_both_emulators(target: str, digits) -> None:  # type: ignore[no-untyped-def]
    require(PROGRAMS[target])
    folder = digits_net("digits_linear", target)  # it calls no function of a C library, which would differ
    nets = [load(folder, threads, QEMU) for threads in (1, 2, 4)] + [load(folder, 1, UNICORN)]
    for image in digits.images[:4]:
        assert len({net(image[None]).tobytes() for net in nets}) == 1


@pytest.mark.parametrize("target", PROGRAMS)
@pytest.mark.parametrize("libc", ["glibc", "musl"])
def test_the_boards_program_runs(target: str, libc: str, tmp_path: Path) -> None:
    """examples/board/main.c, linked as its README says."""
    require(PROGRAMS[target])
    folder = toy_artefact(tmp_path, target, libc)
    source = (BOARD / "main.c").read_text().replace("nin_", "toy_").replace("NIN_", "TOY_").replace("nin.h", "toy.h")
    (tmp_path / "main.c").write_text(source)
    sources = [f"-I{folder}", "main.c", str(folder / "libtoy.a"), "-lm", "-lpthread"]
    link_program(sources, "main", cpu_target(target), tmp_path)
    command = [*qemu_command(read_manifest(folder)["target"]), "./main", "3", "5"]
    started = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "selftest passed" in done.stdout and "3 threads" in done.stdout
    assert float(done.stdout.split("median ")[1].split()[0]) < (time.monotonic() - started) * 1e3
