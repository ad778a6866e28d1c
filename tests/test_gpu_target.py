"""nincc.gpu_target: the shipped GPUs, and strict parsing of their files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from nincc import api
from nincc.errors import UsageError
from nincc.gpu_target import GpuTarget
from nincc.resources import targets_dir
from nincc.target import cpu_names, cpu_target, host_of, load_target, target_names

GPUS = [name for name in target_names() if name not in cpu_names()]


def gpu(name: str) -> GpuTarget:
    target = load_target(name)
    assert isinstance(target, GpuTarget)
    return target


def test_the_shipped_ones() -> None:
    assert GPUS == ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90"]
    assert load_target("cuda") == load_target("sm_80")
    assert gpu("sm_75").capability == (7, 5)
    assert gpu("sm_80").panel == 2 * gpu("sm_80").lanes == 8


@pytest.mark.parametrize("name", GPUS)
def test_each_one_is_whole(name: str) -> None:
    target = gpu(name)
    assert (target.name, target.sm) == (name, int(name[3:]))
    assert target.shared_per_block <= target.shared_per_sm
    assert target.threads % 32 == 0 and target.registers == 65536
    assert host_of(target) == load_target(target.host)


@pytest.mark.parametrize(
    ("name", "teraflops"), [("sm_75", 8.1), ("sm_80", 19.5), ("sm_86", 31.2), ("sm_89", 30.3), ("sm_90", 67)]
)
def test_peaks_are_those_of_the_data_sheets(name: str, teraflops: float) -> None:
    assert gpu(name).peak_gflops == pytest.approx(1e3 * teraflops, rel=0.01)


def write(folder: Path, old: str, new: str) -> str:
    text = (targets_dir() / "sm_80.toml").read_text()
    assert old in text
    path = folder / "mine.toml"
    path.write_text(text.replace(old, new))
    return str(path)


def test_an_own_file(tmp_path: Path) -> None:
    target = load_target(write(tmp_path, "sm_count = 108", "sm_count = 98"))
    assert isinstance(target, GpuTarget) and (target.name, target.sm_count) == ("mine", 98)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sm_count = 108", "sm_count = 0", "key 'sm_count' must be a positive whole number, not 0"),
        ("sm_count = 108", "", "key 'sm_count' is missing"),
        ("sm_count = 108", "sm_count = 108\ntensor_cores = 4", "unknown key 'tensor_cores'; known keys: .*sm_count"),
        ('ptx = "7.8"', "ptx = 7.8", "key 'ptx' must be a text"),
        ('kind = "cuda"', 'kind = "opencl"', "kind 'opencl' is unknown; kinds: cpu, cuda"),
        ('kind = "cuda"', "", "unknown key"),
        ('host = "x86-64-v2"', 'host = "pdp-11"', "unknown target 'pdp-11'"),
        ('host = "x86-64-v2"', 'host = "sm_80"', "target 'sm_80' is a GPU"),
    ],
)
def test_a_wrong_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        host_of(load_target(write(tmp_path, old, new)))


def test_what_needs_a_cpu_says_so() -> None:
    with pytest.raises(UsageError, match="target 'cuda' is a GPU; this needs a CPU target"):
        cpu_target("cuda")


def test_threads_are_not_the_gpus() -> None:
    assert api.compile_options("cuda", threads=4).threads == 1
    with pytest.raises(UsageError, match="--threads 0 is out of range"):
        api.compile_options("cuda", threads=0)


def test_docs_name_every_key() -> None:
    docs = (Path(__file__).resolve().parent.parent / "docs" / "targets.md").read_text()
    assert all(f"| `{field.name}` |" in docs for field in fields(GpuTarget))
