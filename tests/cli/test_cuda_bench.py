"""``nincc bench`` on an artefact for a GPU: counted without one, timed by CUDA events on the stub driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from nincc.emulate.cuda.library import build_stub
from nincc.gpu_driver import has_gpu
from nincc.target import host_of, load_target
from tests.cli.process import as_json, fail, succeed
from tests.tune.nets import one_product

MODEL = Path(__file__).parent.parent / "data" / "digits_linear.onnx"
pytestmark = pytest.mark.skipif(has_gpu(), reason="this machine has a GPU: the stub would not be found")


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cuda") / "net"
    succeed("compile", MODEL, "--target", "cuda", "-o", out, "--no-verify")
    return out


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """From now on programs find a GPU: the stub's, which has memory and runs no kernel; a launch takes 1 us."""
    library = build_stub(tmp_path, host_of(load_target("cuda")))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    return library


def test_without_a_gpu_everything_is_counted(artefact: Path) -> None:
    text = succeed("bench", artefact)
    assert "estimates, not timings" in text and "on NVIDIA A100" in text
    said = as_json("bench", artefact)
    assert sum(launch["macs"] for launch in said["launches"]) == said["macs"]
    assert said["total"]["bank_conflicts"] == 0 and said["total"]["seconds"] > 0
    assert all(launch["read_ratio"] <= 3 for launch in said["launches"])
    assert all(launch["spill_bytes"] in (0, None) for launch in said["launches"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--against", "onnxruntime"), "--against compares programs on a CPU"),
        (("--plot", "bench.png"), "--plot compares programs on a CPU"),
        (("--model", MODEL), "--model is for timing, and no GPU is here"),
        (("--layers",), "--layers is for timing, and no GPU is here"),
    ],
)
def test_options_that_make_no_sense(artefact: Path, options: tuple[object, ...], words: str) -> None:
    assert words in fail(2, "bench", artefact, *options)


def test_with_a_gpu_events_tell_the_time(artefact: Path, stub: Path) -> None:
    said = as_json("bench", artefact, "--rounds", 1, "--seconds", 0.1)
    launches = len(as_json("inspect", artefact)["kernels"])
    assert said["gpu"] == "stand-in GPU"
    assert said["device"]["count"] >= 5
    assert said["device"]["median"] == pytest.approx(launches * 1e-6, rel=1e-5)
    assert said["host"]["median"] > 0 and said["launches"] == []
    text = succeed("bench", artefact, "--rounds", 1, "--seconds", 0.1)
    assert "on stand-in GPU" in text and "by CUDA events" in text


def test_each_launch_is_timed_too(artefact: Path, stub: Path) -> None:
    assert "needs the ONNX model" in fail(2, "bench", artefact, "--layers")
    said = as_json("bench", artefact, "--model", MODEL, "--layers", "--rounds", 1, "--seconds", 0.1)
    assert len(said["launches"]) == len(as_json("inspect", artefact)["kernels"])
    assert [launch["seconds"] for launch in said["launches"]] == pytest.approx([1e-6] * len(said["launches"]))


def test_a_gpu_that_is_too_old_is_one_line(tmp_path: Path, stub: Path) -> None:
    out = tmp_path / "newer"
    succeed("compile", one_product(tmp_path), "--target", "sm_90", "-o", out, "--no-verify")
    line = fail(4, "bench", out)
    assert "has compute capability 8.0; this net needs 9.0 or newer" in line
