"""An artefact as a whole program under qemu-user: its static library, threads and all, on musl."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from nincc.codegen.toolchain import link_program
from nincc.emulate.arm.status import check_status
from nincc.emulate.device import QEMU_PROGRAMS
from nincc.errors import DeviceError, VerificationError
from nincc.target import Target

Array = np.ndarray[Any, Any]

_CPUS = {"cortex-a53", "cortex-a57", "cortex-a72", "neoverse-n1", "cortex-a7", "cortex-a15"}


class QemuNet:
    """float32 arrays in graph order in, the output or a tuple of outputs out, as the artefact's own ``Net``.

    Links the static library to a small program, which stays and answers until ``close`` or the garbage collector.
    Raises DeviceError where the emulated core lacks what the library needs, VerificationError where it crashes.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], threads: int = 1) -> None:
        self._where = str(folder)
        self._inputs = [tuple(item["shape"]) for item in manifest["inputs"]]
        self._outputs = [tuple(item["shape"]) for item in manifest["outputs"]]
        self._work = tempfile.TemporaryDirectory(prefix="nincc-qemu-")
        program = build_runner(folder, manifest, Path(self._work.name))
        command = [*qemu_command(manifest["target"]), str(program), str(threads)]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        status = self._status()
        self._work.cleanup()  # the program is in memory
        self._check(status)

    def __call__(self, *arrays: Array) -> Any:
        """One inference; ValueError for a wrong number, shape or dtype of ``arrays``."""
        if [array.shape for array in arrays] != self._inputs or any(array.dtype != np.float32 for array in arrays):
            raise ValueError(f"this net takes float32 {self._inputs}")
        data = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
        answer = self._ask(b"r" + data, 4 * sum(map(prod, self._outputs)))
        self._check(self._status())
        flat, results = np.frombuffer(answer, "<f4").astype(np.float32), []
        for shape in self._outputs:
            results.append(flat[: prod(shape)].reshape(shape))
            flat = flat[prod(shape) :]
        return results[0] if len(results) == 1 else tuple(results)

    def selftest(self) -> float:
        """The largest error of the library's own selftest; VerificationError where it fails."""
        (error,) = struct.unpack("<d", self._ask(b"s", 8))
        status = self._status()
        self._check(status)
        return float(error)

    def close(self) -> None:
        """Ends the program."""
        child = getattr(self, "_child", None)
        if child is not None:
            child.kill()
            child.communicate()

    def __del__(self) -> None:
        self.close()

    def _ask(self, request: bytes, size: int) -> bytes:
        assert self._child.stdin is not None and self._child.stdout is not None
        try:
            self._child.stdin.write(request)
            self._child.stdin.flush()
        except OSError:
            pass  # it has ended: reading tells
        answer = self._child.stdout.read(size)
        if len(answer) != size:
            raise VerificationError(f"the library's program ended with status {self._child.wait()} under qemu-user")
        return answer

    def _status(self) -> int:
        return int(struct.unpack("<i", self._ask(b"", 4))[0])

    def _check(self, status: int) -> None:
        check_status(status, self._last_error, self._where)

    def _last_error(self) -> str:
        text = self._ask(b"e", 256)
        self._status()
        return text.rstrip(b"\0").decode(errors="replace")


def qemu_command(target: Mapping[str, Any]) -> list[str]:
    """qemu-user as the core that a manifest's target names; the newest one where it does not know that core."""
    program = QEMU_PROGRAMS[target["triple"].split("-")[0]]
    path = shutil.which(program)
    if path is None:
        raise DeviceError(f"{program} is not installed", hint="install qemu-user")
    return [path, "-cpu", target["cpu"] if target["cpu"] in _CPUS else "max"]


def build_runner(folder: Path, manifest: Mapping[str, Any], work: Path) -> Path:
    """The program that runs the artefact's static library, written into ``work``."""
    name, places, arguments = manifest["name"], {"inputs": 0, "outputs": 0}, []
    for kind in places:
        for item in manifest[kind]:
            arguments.append(f"{kind} + {places[kind]}")
            places[kind] += prod(item["shape"])
    values = {"name": name, "arguments": ", ".join(arguments), **places}
    template = (Path(__file__).parent / "runner.c.in").read_text(encoding="utf-8")
    (work / "runner.c").write_text(re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), template))
    include = f"-I{folder.resolve()}"
    sources = [include, "runner.c", str(folder.resolve() / f"lib{name}.a"), "-lm", "-lpthread"]
    link_program(sources, "runner", target_of(manifest["target"]), work)
    return work / "runner"


def target_of(target: Mapping[str, Any]) -> Target:
    """As much of a manifest's target as a C compiler needs."""
    return Target(target["name"], "", target["triple"], target["cpu"], (), (), 4, 16, 1, 1)
