"""Which device runs an artefact: what is here, what was asked for, and the one line where there is none."""

from __future__ import annotations

import importlib.util
import platform
import shutil

import pytest

from nincc.emulate import NATIVE, QEMU, UNICORN, device_for
from nincc.emulate.device import most_threads
from nincc.errors import DeviceError, UsageError

ARM64, ARM32, X86 = "aarch64-unknown-linux-gnu", "armv7l-unknown-linux-gnueabihf", "x86_64-unknown-linux-gnu"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Makes an x86-64 machine with exactly these programs and packages."""

    def make(*names: str, machine: str = "x86_64") -> None:
        monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in names else None)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in names else None)
        monkeypatch.setattr(platform, "machine", lambda: machine)

    return make


def test_qemu_user_comes_first_then_unicorn(here) -> None:  # type: ignore[no-untyped-def]
    here("qemu-aarch64", "unicorn")
    assert (device_for(ARM64), device_for(ARM32)) == (QEMU, UNICORN)
    here("unicorn")
    assert device_for(ARM64) == UNICORN


def test_what_runs_here_is_not_emulated(here) -> None:  # type: ignore[no-untyped-def]
    here("qemu-aarch64", "unicorn", machine="aarch64")
    assert (device_for(ARM64), device_for(ARM32), device_for("")) == (NATIVE, UNICORN, NATIVE)
    assert device_for(ARM64, QEMU) == QEMU


def test_without_an_emulator_one_line_says_how_to_get_one(here) -> None:  # type: ignore[no-untyped-def]
    here()
    missing = r"neither qemu-user nor unicorn is installed; run: pip install 'nincc\[arm\]', or install"
    with pytest.raises(DeviceError, match=missing):
        device_for(ARM64)
    with pytest.raises(DeviceError, match="qemu-user is not installed; .*qemu-arm"):
        device_for(ARM32, QEMU)
    with pytest.raises(DeviceError, match=r"unicorn is not installed; run: pip install 'nincc\[arm\]'$") as caught:
        device_for(ARM32, UNICORN)
    assert caught.value.exit_code == 4


def test_an_emulator_is_for_arm(here) -> None:  # type: ignore[no-untyped-def]
    here("qemu-aarch64", "unicorn")
    with pytest.raises(DeviceError, match="unicorn runs libraries for ARM here, not for x86_64"):
        device_for(X86, UNICORN)
    with pytest.raises(UsageError, match="device 'bochs' is unknown; devices: native, qemu-user, unicorn"):
        device_for(ARM64, "bochs")


def test_unicorn_has_one_core() -> None:
    assert (most_threads(UNICORN, 4), most_threads(QEMU, 4), most_threads(NATIVE, 4)) == (1, 4, 4)
