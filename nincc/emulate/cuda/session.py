"""A GPU for an artefact that needs one: this machine's own, else the stub and the interpreter behind it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nincc.gpu_driver import has_gpu
from nincc.gpu_target import GpuTarget
from nincc.target import host_of, load_target

if TYPE_CHECKING:
    from nincc.emulate.cuda.gpu import EmulatedGpu, Launched

DEVICE = "PTX interpreter"
"""How reports call this way to run a net."""


@contextmanager
def emulated_gpu(
    folder: Path,
    *,
    detect_races: bool = True,
    count: bool = False,
    on_launch: Callable[[Launched], None] | None = None,
) -> Iterator[EmulatedGpu | None]:
    """Stands in for a GPU in this process, if the artefact in ``folder`` needs one and none is here; to ``count``, also
    where one is.

    ``detect_races``, ``count`` and ``on_launch`` are :class:`~nincc.emulate.cuda.gpu.EmulatedGpu`'s.
    Gives None where the artefact runs without.  It comes before the artefact's library is opened, and it cannot be
    taken out of a process again: use it in one that is made for it.
    """
    target = gpu_target_of(folder)
    if target is None or (not count and has_gpu()):
        yield None
        return
    from nincc.emulate.cuda.gpu import EmulatedGpu
    from nincc.emulate.cuda.library import Stub, build_stub

    with tempfile.TemporaryDirectory(prefix="nincc-gpu-") as work:
        stub = Stub(build_stub(Path(work), host_of(target)))
    stub.configure(devices=1, capability=target.capability)
    yield EmulatedGpu(stub, count=count, detect_races=detect_races, on_launch=on_launch)


def needs_emulation(folder: Path) -> bool:
    """Whether the artefact is for a GPU, and this machine has none."""
    return gpu_target_of(folder) is not None and not has_gpu()


def gpu_target_of(folder: Path) -> GpuTarget | None:
    """The GPU that the artefact was compiled for; None for a CPU, or where the manifest cannot be read, which loading
    it will say better.
    """
    try:
        target = json.loads((folder / "manifest.json").read_bytes())["target"]
        found = load_target(f"sm_{target['sm']}") if target.get("kind") == "cuda" else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if isinstance(found, GpuTarget) else None
