"""Where an artefact can run: this machine, or which emulator."""

from __future__ import annotations

import importlib.util
import json
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nincc import runtime
from nincc.errors import DeviceError, UsageError

NATIVE, QEMU, UNICORN = "native", "qemu-user", "unicorn"
DEVICES = (NATIVE, QEMU, UNICORN)

QEMU_PROGRAMS = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}
"""qemu-user's program for each architecture that can be emulated."""

GET_UNICORN = "run: pip install 'nincc[arm]'"
"""How to get unicorn, which nincc itself does not bring: the licence of its engine is GPL-2.0."""


def device_for(triple: str, wanted: str | None = None) -> str:
    """What runs a library of that triple here: ``wanted``, or the best there is.

    Raises DeviceError where it is not here or cannot run such a library, UsageError for an unknown name.
    """
    if wanted is not None and wanted not in DEVICES:
        raise UsageError(f"device '{wanted}' is unknown", hint="devices: " + ", ".join(DEVICES))
    architecture = triple.split("-")[0]
    if wanted == NATIVE or (wanted is None and not _is_emulated(architecture)):
        return NATIVE  # loading says what is missing
    if architecture not in QEMU_PROGRAMS:
        raise DeviceError(f"{wanted} runs libraries for ARM here, not for {architecture}")
    program = QEMU_PROGRAMS[architecture]
    here = {QEMU: shutil.which(program) is not None, UNICORN: importlib.util.find_spec("unicorn") is not None}
    for device in (QEMU, UNICORN) if wanted is None else (wanted,):
        if here[device]:
            return device
    what = f"{wanted} is" if wanted else f"nothing here runs {architecture}: neither qemu-user nor unicorn is"
    hint = {QEMU: f"install the system's package that has {program}", UNICORN: GET_UNICORN}
    either = f"{GET_UNICORN}, or install qemu-user"
    raise DeviceError(f"{what} not installed" if wanted else f"{what} installed", hint=hint.get(wanted or "", either))


def _is_emulated(architecture: str) -> bool:
    return architecture in QEMU_PROGRAMS and platform.machine() != architecture


def most_threads(device: str, threads: int) -> int:
    """How many of ``threads`` the device can run: unicorn has one core."""
    return 1 if device == UNICORN else threads


def device_of(folder: str | Path, wanted: str | None = None) -> str:
    """What runs the artefact in ``folder``: see :func:`device_for`."""
    return device_for(triple_of(_manifest(Path(folder))), wanted)


def load(folder: str | Path, threads: int = 1, device: str | None = None) -> Any:
    """The net of the artefact in ``folder`` as a callable with a ``selftest``, on the device.

    Raises what :func:`nincc.runtime.load` raises, and DeviceError where the device is not here.
    """
    folder = Path(folder)
    manifest = _manifest(folder)
    chosen = device_for(triple_of(manifest), device)
    if chosen == NATIVE:
        return runtime.load(folder, threads)
    if not 1 <= threads <= manifest["threads"]:
        raise ValueError(f"threads is {threads}, this net was compiled for 1 to {manifest['threads']}")
    if threads > most_threads(chosen, threads):
        raise DeviceError(f"{chosen} emulates one thread, not {threads}", hint="install qemu-user, or ask for 1 thread")
    if chosen == QEMU:
        from nincc.emulate.arm.qemu import QemuNet

        return QemuNet(folder, manifest, threads)
    from nincc.emulate.arm.unicorn_net import UnicornNet

    return UnicornNet(folder, manifest)


def _manifest(folder: Path) -> dict[str, Any]:
    """The artefact's manifest; empty where there is none to read, which loading it natively will say better."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def triple_of(manifest: Mapping[str, Any]) -> str:
    """The triple of the CPU that an artefact was compiled for; empty where its manifest names none."""
    target = manifest.get("target")
    return str(target.get("triple") or "") if isinstance(target, dict) else ""
