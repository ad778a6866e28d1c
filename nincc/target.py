"""What nincc knows of a machine it compiles for: a frozen :class:`Target` or GpuTarget, read from TOML.

Targets are data (``targets/<name>.toml``) and parsing is strict: a key that nincc does not
know is an error, never dropped.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from nincc.errors import UsageError
from nincc.gpu_driver import has_gpu
from nincc.gpu_target import GpuTarget
from nincc.resources import targets_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ALIASES = {"arm": "cortex-a72", "cuda": "sm_80", "x86": "x86-64-v3"}

NATIVE = {
    "x86_64": ("x86-64-v4", "x86-64-v3", "x86-64-v2"),
    "aarch64": ("neoverse-n1", "cortex-a72"),
    "armv7l": ("cortex-a7",),
}
"""What ``native`` may mean on a machine: the first of these that its CPU can run."""


@dataclass(frozen=True)
class Target:
    """A CPU that nincc generates code for.

    ``lanes`` are float32 lanes of a vector register, ``registers`` the vector registers,
    ``l1``/``l2`` the bytes of a core's data caches: the cost rule's whole picture of a core.
    ``requires`` are the names the artefact's driver checks before it runs (``nin_open``).
    """

    name: str
    description: str
    triple: str
    cpu: str
    features: tuple[str, ...]
    requires: tuple[str, ...]
    lanes: int
    registers: int
    l1: int
    l2: int

    @property
    def architecture(self) -> str:
        """``x86_64``, ``aarch64`` …: the first part of the triple."""
        return self.triple.split("-")[0]

    @property
    def panel(self) -> int:
        """Output channels of one packed weight panel: two vector registers."""
        return 2 * self.lanes


AnyTarget = Target | GpuTarget

KINDS: dict[str, type[AnyTarget]] = {"cpu": Target, "cuda": GpuTarget}
"""What a target file describes, by its ``kind`` (a CPU where it has none)."""


def target_names() -> list[str]:
    """Every shipped target's name, sorted."""
    return sorted(path.stem for path in targets_dir().glob("*.toml"))


def load_target(name: str) -> AnyTarget:
    """The target called ``name``, an alias of it, ``native``, or the TOML file at that path.

    Raises UsageError when there is none or the file does not describe one.
    """
    if name == "native":
        return native_target()
    if name.endswith(".toml"):
        return _read(Path(name))
    shipped = ALIASES.get(name, name)
    if shipped not in target_names():
        known = ", ".join([*target_names(), *sorted(ALIASES), "native"])
        raise UsageError(f"unknown target '{name}'", hint=f"known targets: {known}; or give a .toml file")
    return _read(targets_dir() / f"{shipped}.toml")


def cpu_names() -> list[str]:
    """The shipped targets that are CPUs."""
    return [name for name in target_names() if isinstance(load_target(name), Target)]


def cpu_target(name: str) -> Target:
    """The CPU target called ``name``; UsageError where that is a GPU."""
    target = load_target(name)
    if isinstance(target, GpuTarget):
        raise UsageError(f"target '{name}' is a GPU; this needs a CPU target", hint="x86 is one")
    return target


def host_of(target: AnyTarget) -> Target:
    """The CPU that the library's own code runs on: the target itself, or that of a GPU's driver."""
    return cpu_target(target.host) if isinstance(target, GpuTarget) else target


@cache
def native_target() -> Target:
    """The nearest shipped target that this machine's CPU can run."""
    flags = _cpu_flags()
    for level in NATIVE.get(platform.machine(), ()):
        target = cpu_target(level)
        if set(target.requires) <= flags:
            return target
    raise UsageError(
        "this machine's CPU matches no shipped target",
        hint="name one of: " + ", ".join(target_names()),
    )


def missing_features(target: AnyTarget) -> list[str]:
    """What this machine lacks to run code for ``target``: CPU features, the whole architecture, or a GPU."""
    if isinstance(target, GpuTarget):
        return missing_features(host_of(target)) or ([] if has_gpu() else ["NVIDIA GPU"])
    if platform.machine() != target.architecture:
        return [target.architecture]
    flags = _cpu_flags()
    return [feature for feature in target.requires if feature not in flags]


def _cpu_flags() -> set[str]:
    """The feature names of the first CPU in /proc/cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


def _read(path: Path) -> AnyTarget:
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read target file: {error.strerror}", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not a TOML file: {error}", where=str(path)) from error
    data.setdefault("name", path.stem)
    return _parse(data, str(path))


def _parse(data: dict[str, Any], where: str) -> AnyTarget:
    kind = KINDS.get(str(data.get("kind", "cpu")))
    if kind is None:
        raise UsageError(f"kind '{data['kind']}' is unknown", where=where, hint="kinds: " + ", ".join(KINDS))
    types = {field.name: str(field.type) for field in fields(kind)}
    unknown = sorted(set(data) - set(types))
    if unknown:
        raise UsageError(f"unknown key '{unknown[0]}'", where=where, hint="known keys: " + ", ".join(types))
    missing = sorted(set(types) - set(data))
    if missing:
        raise UsageError(f"key '{missing[0]}' is missing", where=where, hint="see docs/targets.md")
    return kind(**{key: _typed(key, types[key], value, where) for key, value in data.items()})


def _typed(key: str, kind: str, value: Any, where: str) -> Any:
    if kind == "int" and type(value) is int and value > 0:
        return value
    if kind == "str" and isinstance(value, str) and value:
        return value
    if kind.startswith("tuple") and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    wanted = {"int": "a positive whole number", "str": "a text"}.get(kind, "a list of texts")
    raise UsageError(f"key '{key}' must be {wanted}, not {value!r}", where=where)
