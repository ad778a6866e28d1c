"""From a model to a proven GPU library on a machine without a GPU, and mutations that verification must find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nincc.gpu_driver import has_gpu
from tests.cli.process import nincc

MODEL = Path(__file__).parent / "data" / "digits_linear.onnx"
emulated = pytest.mark.skipif(has_gpu(), reason="this machine has a GPU, which runs the machine code")


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cuda") / "net"
    done = nincc("compile", str(MODEL), "--target", "cuda", "-o", str(out))
    assert done.returncode == 0, done.stderr
    return out


def test_it_is_verified_and_says_how(artefact: Path) -> None:
    manifest = json.loads((artefact / "manifest.json").read_text())
    assert manifest["verified"] and manifest["threads"] == 1
    assert manifest["certificate"]["device"] == ("native" if has_gpu() else "PTX interpreter")
    assert all(kernel["launch"]["grid"][0] >= 1 for kernel in manifest["kernels"])
    if "ptxas" in manifest["tools"]:
        assert all(kernel["resources"]["spill_bytes"] == 0 for kernel in manifest["kernels"])
    assert sum(kernel["macs"] for kernel in manifest["kernels"]) == manifest["macs"] > 0


def test_it_runs(artefact: Path) -> None:
    done = nincc("verify", str(artefact))
    assert done.returncode == 0 and "verified" in done.stdout, done.stderr


def mutate(artefact: Path, old: bytes, new: bytes, folder: Path) -> Path:
    """A copy of the artefact whose library has ``new``, padded with spaces, for every ``old`` in its PTX."""
    copy = folder / "mutant"
    copy.mkdir()
    for path in artefact.iterdir():
        data = path.read_bytes()
        if path.name == "libnin.so":
            assert old in data
            data = data.replace(old, new.ljust(len(old)))
        (copy / path.name).write_bytes(data)
    return copy


@emulated
@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"bar.sync \t0;", b"", "PTX interpreter stops at"),
        (b"%ctaid.x;", b"%tid.x;", ""),
        (b"add.f32", b"sub.f32", "results differ by"),
    ],
    ids=["no barrier", "a wrong index", "a wrong function"],
)
def test_a_mutated_kernel_is_caught(artefact: Path, tmp_path: Path, old: bytes, new: bytes, why: str) -> None:
    done = nincc("verify", str(mutate(artefact, old, new, tmp_path)))
    assert done.returncode == 3
    assert why in done.stdout + done.stderr and "Traceback" not in done.stderr


def test_explain_shows_the_launches(artefact: Path) -> None:
    done = nincc("explain", str(MODEL), "--target", "cuda", "--json")
    assert done.returncode == 0, done.stderr
    launches = json.loads(done.stdout)["launches"]
    kernels = json.loads((artefact / "manifest.json").read_text())["kernels"]
    assert [one["kernel"] for one in launches] == [kernel["kernel"] for kernel in kernels]
    assert [one["launch"] for one in launches] == [kernel["launch"] for kernel in kernels]


def test_inspect_shows_the_device_memory(artefact: Path) -> None:
    done = nincc("inspect", str(artefact))
    assert done.returncode == 0 and "a context's memory on the GPU" in done.stdout
