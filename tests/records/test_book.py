"""The look-up: the named file before the shipped one, the best of what fits, and its file and line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nincc.errors import UsageError
from nincc.options import CompileOptions
from nincc.records import book as module
from nincc.records.book import book_for
from nincc.target import cpu_target, load_target
from tests.records.lines import (
    CONV_TASK,
    CUT,
    DIRECT,
    F2,
    F4,
    GEMM,
    GEMM_TASK,
    LAUNCH_TASK,
    X86,
    header,
    line,
    write,
)

OPTIONS = CompileOptions(target=X86)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the shipped schedules."""
    folder = tmp_path / "schedules"
    folder.mkdir()
    monkeypatch.setattr(module, "schedules_dir", lambda: folder)
    return folder


def found(task, **changes):
    options = replace(OPTIONS, **changes)
    return book_for(options).find(task.workload, options)


def test_the_fastest_of_the_right_ones(tmp_path: Path, shipped: Path) -> None:
    path = write(
        tmp_path / "r.jsonl", line(CONV_TASK, F2, 8e-4), line(CONV_TASK, F4, 4e-4), line(CONV_TASK, DIRECT, None, 4)
    )
    best = found(CONV_TASK, schedules=path)
    assert best.timed.entry.knobs == F4 and best.reason == "record r.jsonl:3: F(4, 5), 400.0 us"
    assert found(GEMM_TASK, schedules=path) is None


def test_a_kernel_that_was_ever_wrong_is_never_chosen(tmp_path: Path, shipped: Path) -> None:
    path = write(
        tmp_path / "r.jsonl", line(CONV_TASK, F4, 1e-4), line(CONV_TASK, F4, None, 5), line(CONV_TASK, DIRECT, 2e-3)
    )
    assert found(CONV_TASK, schedules=path).timed.entry.knobs == DIRECT


def test_several_times_count_with_their_median(tmp_path: Path, shipped: Path) -> None:
    times = [9e-4, 1e-4, 5e-4]
    path = write(tmp_path / "r.jsonl", *(line(CONV_TASK, F4, t) for t in times), line(CONV_TASK, F2, 4e-4))
    assert found(CONV_TASK, schedules=path, threads=1).timed.entry.knobs == F2


def test_the_error_budget_and_size_hold(tmp_path: Path, shipped: Path) -> None:
    path = write(tmp_path / "r.jsonl", *(line(CONV_TASK, k, t) for k, t in ((F4, 4e-4), (F2, 8e-4), (DIRECT, 2e-3))))
    assert found(CONV_TASK, schedules=path, error_budget=4e-6).timed.entry.knobs == F2
    assert found(CONV_TASK, schedules=path, error_budget=1e-9).timed.entry.knobs == DIRECT
    assert found(CONV_TASK, schedules=path, optimize="size").timed.entry.knobs == DIRECT


def test_threads_want_an_even_cut(tmp_path: Path, shipped: Path) -> None:
    path = write(tmp_path / "r.jsonl", line(CONV_TASK, {**F4, "order": "tile"}, 4e-4), line(CONV_TASK, F4, 5e-4))
    assert found(CONV_TASK, schedules=path, threads=1).timed.entry.knobs["order"] == "tile"
    assert found(CONV_TASK, schedules=path, threads=4).timed.entry.knobs["order"] == "unit"


def test_the_named_file_first_then_the_shipped_one(tmp_path: Path, shipped: Path) -> None:
    write(shipped / "x86-64-v3.jsonl", line(CONV_TASK, F4, 1e-4), line(GEMM_TASK, GEMM, 5e-4))
    path = write(tmp_path / "r.jsonl", line(CONV_TASK, F2, 8e-4))
    assert found(CONV_TASK, schedules=path).file == "r.jsonl"
    assert found(GEMM_TASK, schedules=path).file == "x86-64-v3.jsonl"
    assert found(GEMM_TASK, schedules=path, shipped_schedules=False) is None


def test_a_changed_file_is_read_again(tmp_path: Path, shipped: Path) -> None:
    path = write(tmp_path / "r.jsonl", line(CONV_TASK, F2, 8e-4))
    assert found(CONV_TASK, schedules=path).timed.entry.knobs == F2
    write(path, line(CONV_TASK, F2, 8e-4), line(CONV_TASK, F4, 4e-4))
    assert found(CONV_TASK, schedules=path).timed.entry.knobs == F4


def test_a_named_file_for_another_target_is_an_error(tmp_path: Path, shipped: Path) -> None:
    path = write(tmp_path / "r.jsonl", head=header(cpu_target("cortex-a72")))
    with pytest.raises(UsageError, match="records for target cortex-a72, not x86-64-v3"):
        book_for(replace(OPTIONS, schedules=path))
    with pytest.raises(UsageError, match="cannot read it"):
        book_for(replace(OPTIONS, schedules=tmp_path / "none.jsonl"))


def test_a_shipped_file_of_another_version_is_left_out_with_a_note(shipped: Path) -> None:
    write(shipped / "x86-64-v3.jsonl", head=replace(header(), kernels=0))
    (note,) = book_for(OPTIONS).notes
    assert note.startswith("shipped records left out: ") and "kernel version 0" in note


def test_a_gpu_has_its_own(tmp_path: Path, shipped: Path) -> None:
    gpu = load_target("cuda")
    text = line(LAUNCH_TASK, CUT, 4e-6, estimate=True, instructions=41_250_000, issue=2e-6)
    path = write(shipped / "sm_80.jsonl", text, head=header(gpu, "static"))
    best = found(LAUNCH_TASK, target=gpu)
    assert best.reason == "record sm_80.jsonl:2: split by 5, 4.0 us estimated, 41.2 M instructions"
    assert found(LAUNCH_TASK, target=gpu, shipped_schedules=False) is None
    with pytest.raises(UsageError, match="records for target sm_80, not sm_90"):
        book_for(CompileOptions(target=load_target("sm_90"), schedules=path))


def test_a_launch_is_chosen_by_its_time_and_instructions(tmp_path: Path, shipped: Path) -> None:
    """As in the cost rule: 4 % faster for 6 % more instructions is no gain, 4 % slower for 6 % fewer is one."""
    hasty, thrifty = {**CUT, "pixels": 4, "shares": 4}, {**CUT, "chunk": 32}
    trials = ((CUT, 4e-6, 1.6e-6), (hasty, 3.84e-6, 1.7e-6), (thrifty, 4.16e-6, 1.5e-6))
    lines = [
        line(LAUNCH_TASK, cut, seconds, estimate=True, instructions=9, issue=issue) for cut, seconds, issue in trials
    ]
    gpu = load_target("cuda")
    for held, best in ((lines[:2], CUT), (lines, thrifty)):
        path = write(tmp_path / "r.jsonl", *held, head=header(gpu, "static"))
        assert found(LAUNCH_TASK, target=gpu, schedules=path).timed.entry.knobs == best


def test_a_gpus_shipped_records_of_an_older_kind_are_left_out(shipped: Path) -> None:
    gpu = load_target("cuda")
    old = line(replace(LAUNCH_TASK, version=1), CUT, 4e-6, estimate=True)
    write(shipped / "sm_80.jsonl", old, head=replace(header(gpu, "static"), kernels=1))
    (note,) = book_for(CompileOptions(target=gpu)).notes
    assert note.startswith("shipped records left out: ") and "records of kernel version 1, this nincc has 2" in note
