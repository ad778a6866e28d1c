"""nincc.target: shipped targets, aliases, and strict parsing of target files."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from nincc import target as module
from nincc.codegen.driver.features import known_features
from nincc.errors import UsageError
from nincc.resources import targets_dir
from nincc.target import ALIASES, Target, cpu_names, load_target, native_target, target_names

# The levels of the x86-64 psABI as /proc/cpuinfo spells their features (pni is SSE3, abm has LZCNT).
V2 = {"pni", "ssse3", "sse4_1", "sse4_2", "popcnt", "cx16", "lahf_lm"}
V3 = V2 | {"avx", "avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"}
N1 = {"fp", "asimd", "crc32", "atomics", "asimdrdm", "fphp", "asimdhp", "asimddp", "dcpop", "lrcpc"}
V4 = V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

GOOD = {
    "description": '"a core"',
    "triple": '"x86_64-unknown-linux-gnu"',
    "cpu": '"x86-64-v3"',
    "features": "[]",
    "requires": '["avx2"]',
    "lanes": "8",
    "registers": "16",
    "l1": "32768",
    "l2": "524288",
}


def write(folder: Path, **changes: str | None) -> str:
    """A target file with some keys replaced, added, or (None) left out."""
    keys = {**GOOD, **changes}
    path = folder / "mine.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in keys.items() if value is not None))
    return str(path)


@pytest.mark.parametrize(
    ("name", "lanes", "registers", "requires"),
    [("x86-64-v2", 4, 16, V2), ("x86-64-v3", 8, 16, V3), ("x86-64-v4", 16, 32, V4)],
)
def test_x86_levels(name: str, lanes: int, registers: int, requires: set[str]) -> None:
    target = load_target(name)
    assert (target.name, target.cpu, target.architecture) == (name, name, "x86_64")
    assert (target.lanes, target.registers, target.panel) == (lanes, registers, 2 * lanes)
    assert set(target.requires) == requires


@pytest.mark.parametrize("name", ["cortex-a53", "cortex-a72", "neoverse-n1", "cortex-a7"])
def test_arm_cores(name: str) -> None:
    target = load_target(name)
    assert isinstance(target, Target)
    assert (target.name, target.cpu) == (name, name)
    wide = target.architecture == "aarch64"  # pairs of its 32 registers of 4 floats
    assert (target.lanes, target.registers) == ((8, 16) if wide else (4, 16))
    assert {"asimd"} <= set(target.requires) if wide else {"neon", "vfpv4"} <= set(target.requires)
    assert target.triple == ("aarch64-unknown-linux-gnu" if wide else "armv7l-unknown-linux-gnueabihf")


@pytest.mark.parametrize("name", cpu_names())
def test_every_shipped_target_loads_under_its_files_name(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert len(target.triple.split("-")) == 4  # three parts would mean another ABI
    assert set(target.requires) <= set(known_features(target.architecture))


def test_aliases_name_shipped_targets() -> None:
    assert load_target("x86") == load_target("x86-64-v3")
    assert load_target("arm") == load_target("cortex-a72")
    assert set(ALIASES.values()) <= set(target_names())


def test_names_are_the_files() -> None:
    assert target_names() == sorted(path.stem for path in targets_dir().glob("*.toml"))


def test_target_is_frozen_and_hashable() -> None:
    target = load_target("x86")
    with pytest.raises(FrozenInstanceError):
        target.lanes = 4  # type: ignore[misc]
    assert len({target, load_target("x86-64-v3")}) == 1


def test_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown target 'z80'; known targets: .*x86-64-v3.*x86.*native"):
        load_target("z80")


@pytest.mark.parametrize("name", ["../targets/x86-64-v3", "x86-64-v3/", ""])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="unknown target"):
        load_target(name)


def test_own_file_takes_its_name_from_the_file_or_the_key(tmp_path: Path) -> None:
    target = load_target(write(tmp_path))
    assert (target.name, target.lanes, target.requires, target.features) == ("mine", 8, ("avx2",), ())
    assert load_target(write(tmp_path, name='"other"')).name == "other"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none.toml: cannot read target file: No such file"):
        load_target(str(tmp_path / "none.toml"))


def test_unknown_key_is_never_dropped(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mine.toml: unknown key 'l3'; known keys: .*l2"):
        load_target(write(tmp_path, l3="1"))


@pytest.mark.parametrize("key", [field.name for field in fields(Target) if field.name != "name"])
def test_missing_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=f"mine.toml: key '{key}' is missing"):
        load_target(write(tmp_path, **{key: None}))


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("lanes", "0", "a positive whole number, not 0"),
        ("lanes", "-8", "a positive whole number"),
        ("lanes", "8.0", "a positive whole number"),
        ("lanes", "true", "a positive whole number"),
        ("lanes", '"8"', "a positive whole number"),
        ("cpu", "3", "a text, not 3"),
        ("cpu", '""', "a text"),
        ("features", '"avx2"', "a list of texts"),
        ("requires", "[1]", "a list of texts"),
    ],
)
def test_wrong_type(tmp_path: Path, key: str, value: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=f"mine.toml: key '{key}' must be {wanted}"):
        load_target(write(tmp_path, **{key: value}))


@pytest.mark.parametrize("content", [b"lanes = ", b"\xff\xfe"])
def test_not_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="mine.toml: not a TOML file"):
        load_target(str(path))


@pytest.mark.parametrize(
    ("flags", "name"),
    [(V2, "x86-64-v2"), (V3 | {"sse4a"}, "x86-64-v3"), (V4 - {"avx512dq"}, "x86-64-v3"), (V4, "x86-64-v4")],
)
def test_native_is_the_nearest_level(monkeypatch: pytest.MonkeyPatch, flags: set[str], name: str) -> None:
    assert _native(monkeypatch, flags).requires == load_target(name).requires


@pytest.mark.parametrize(
    ("machine", "flags", "name"),
    [
        ("aarch64", {"fp", "asimd", "crc32"}, "cortex-a72"),
        ("aarch64", N1 | {"sve"}, "neoverse-n1"),
        ("armv7l", {"neon", "vfpv4", "idiva"}, "cortex-a7"),
    ],
)
def test_native_on_arm(monkeypatch: pytest.MonkeyPatch, machine: str, flags: set[str], name: str) -> None:
    monkeypatch.setattr(module.platform, "machine", lambda: machine)
    assert _native(monkeypatch, flags).name == name


def test_native_on_a_strange_cpu_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="matches no shipped target; name one of: .*x86-64-v2"):
        _native(monkeypatch, {"sse2"})


def test_native_of_this_machine_is_what_it_can_run() -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next(line for line in lines if line.startswith(("flags", "Features"))).split()
    assert set(load_target("native").requires) <= set(flags)


def _native(monkeypatch: pytest.MonkeyPatch, flags: set[str]) -> Target:
    """What ``native`` means on a CPU with these features."""
    monkeypatch.setattr(module, "_cpu_flags", lambda: flags)
    native_target.cache_clear()
    try:
        return native_target()
    finally:
        native_target.cache_clear()


def test_docs_name_every_target_and_key_and_show_the_default() -> None:
    docs = (Path(__file__).resolve().parent.parent / "docs" / "targets.md").read_text()
    assert all(f"| `{name}`" in docs for name in [*target_names(), "native"])
    assert all(f"| `{field.name}` |" in docs for field in fields(Target))
    assert (targets_dir() / "x86-64-v3.toml").read_text() in docs
