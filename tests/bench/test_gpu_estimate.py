"""Counting a GPU's inference without one: known counts of a toy net, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codegen.gpu_net import PTX, GpuModel, gpu_options, gpu_program, gpu_selftest
from nincc.artefact import write_artefact
from nincc.bench.gpu_estimate import GpuEstimate, estimate_gpu
from nincc.cli.gpu import estimate_text
from nincc.errors import UsageError, VerificationError
from nincc.gpu_driver import has_gpu

pytestmark = pytest.mark.skipif(has_gpu(), reason="this machine has a GPU, which is timed")
STEPS: list[tuple[str, int, int]] = []


def artefact(folder: Path, ptx: str = PTX) -> Path:
    program = gpu_program(ptx=ptx)
    out = folder / "toy"
    write_artefact(out, GpuModel(), program, [], gpu_options(), [], None, gpu_selftest(), profile=False)  # type: ignore
    return out


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> GpuEstimate:
    STEPS.clear()
    return estimate_gpu(artefact(tmp_path_factory.mktemp("gpu")), 0, lambda *told: STEPS.append(told))


def test_each_launch_is_counted(result: GpuEstimate) -> None:
    scale, head = result.launches
    assert (scale.layer, head.layer) == ('conv1 "*/ %s', "head")
    assert (scale.blocks, scale.threads, head.blocks, head.threads) == (1, 16, 2, 1)
    assert scale.instructions == 16 * 19 and scale.longest_thread == 19
    # Eight turns of six instructions, and what stands around them.
    assert head.longest_thread == 8 * 6 + 13 and head.instructions == 2 * head.longest_thread
    assert scale.by_class["float"] == 32 and scale.fma_share == 0 and scale.shared_to_fma is None
    assert (scale.l2_sectors, scale.read_sectors, scale.written_sectors) == (3, 3, 2)
    assert (scale.least_read, scale.least_written, scale.read_ratio) == (3, 2, 1.0)
    assert (head.l2_sectors, head.read_sectors, head.written_sectors) == (16, 2, 1)
    assert result.in_l2 and result.total("instructions") == scale.instructions + head.instructions


def test_times_are_a_rooflines_and_say_so(result: GpuEstimate) -> None:
    for launch in result.launches:
        assert launch.seconds == max(launch.parts.values()) == launch.parts[launch.bound] > 0
    text = estimate_text(result)
    assert "estimates, not timings" in text and "NVIDIA A100" in text and "L2 cannot hold" not in text
    assert text.splitlines()[2].split()[:3] == ["layers", "blocks", "threads"]


def test_progress_names_the_launch_under_way(result: GpuEstimate) -> None:
    assert [told[1:] for told in STEPS] == [(0, 2), (1, 2), (2, 2)]
    assert "head" in STEPS[1][0]


def test_json_has_the_totals_and_ratios(result: GpuEstimate) -> None:
    data = json.loads(json.dumps(result.to_dict()))
    assert data["total"]["read_sectors"] == 5 and data["launches"][0]["read_ratio"] == 1.0
    assert data["total"]["longest_thread"] == 19 + 61 and data["fma_share"] == 0.0
    assert "estimates" in data["caveat"]


def test_a_wrong_kernel_is_a_failed_verification(tmp_path: Path) -> None:
    wrong = PTX.replace("mul.wide.u32 	%rd5, %r1, 32;", "mul.wide.u32 	%rd5, %r1, 32000;")
    with pytest.raises(VerificationError, match="the PTX interpreter stops at .*out of bounds"):
        estimate_gpu(artefact(tmp_path, wrong), 0, lambda *_: None)


def test_an_artefact_without_bounds_is_to_be_compiled_again(tmp_path: Path) -> None:
    out = artefact(tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    for kernel in manifest["kernels"]:
        del kernel["least_traffic"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="compile it again"):
        estimate_gpu(out, 0, lambda *_: None)
