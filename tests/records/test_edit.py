"""export, merge and prune keep lines as they are, and never mix what does not compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from nincc.errors import UsageError
from nincc.records.edit import export, merge, prune, read_all, summaries
from nincc.records.file import read_records
from nincc.target import cpu_target, load_target
from tests.records.lines import CONV_TASK, CUT, DIRECT, F2, F4, GEMM, GEMM_TASK, LAUNCH_TASK, header, line, write

LINES = (
    line(CONV_TASK, DIRECT, 2e-3), line(CONV_TASK, F4, 4e-4), line(CONV_TASK, F2, None, 4), line(GEMM_TASK, GEMM, 5e-4)
)  # fmt: skip


def test_prune_keeps_the_best_of_each_task_and_an_exact_one(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", *LINES)
    assert prune(path) == (4, 3)
    assert [entry.knobs for entry in read_records(path).entries] == [F4, DIRECT, GEMM]


def test_the_first_tried_stays_where_nothing_is_gained(tmp_path: Path) -> None:
    near, far = ({**GEMM, "mr": mr} for mr in (3, 2))
    lines = [line(GEMM_TASK, GEMM, 5e-4), line(GEMM_TASK, near, 4.98e-4)]
    path = write(tmp_path / "r.jsonl", *lines)
    prune(path)
    assert [entry.knobs for entry in read_records(path).entries] == [GEMM]
    path = write(tmp_path / "r.jsonl", *lines, line(GEMM_TASK, far, 4e-4))
    prune(path)
    assert [entry.knobs for entry in read_records(path).entries] == [far]


@pytest.mark.parametrize(
    ("estimate", "share", "gains"), [(False, 0.98, False), (False, 0.96, True), (True, 0.98, True)]
)
def test_a_timed_kernel_must_gain_more_than_an_estimated_one(tmp_path: Path, estimate, share, gains) -> None:
    """Three per cent for kernels that were timed, one for estimates."""
    other = {**F4, "mr": 4}
    lines = [line(CONV_TASK, F4, 4e-4, estimate=estimate), line(CONV_TASK, other, share * 4e-4, estimate=estimate)]
    path = write(tmp_path / "r.jsonl", *lines, head=header(runner="static" if estimate else "local"))
    prune(path)
    assert [entry.knobs for entry in read_records(path).entries] == [other if gains else F4]


def test_export_adds_to_what_is_there(tmp_path: Path) -> None:
    out = write(tmp_path / "out.jsonl", line(CONV_TASK, F2, 3e-4))
    path = write(tmp_path / "r.jsonl", LINES[0], LINES[1], LINES[3])
    export([path], out)
    entries = read_records(out).entries
    # F2 is the best for one thread; it cannot be shared, and F4 stays for more.
    assert {entry.text + "\n" for entry in entries} == {line(CONV_TASK, F2, 3e-4), LINES[1], LINES[3]}


def test_merge_keeps_each_trial_once(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", *LINES[:3], head=header(model={"name": "a", "sha256": "1"}))
    second = write(tmp_path / "b.jsonl", *LINES[1:], head=header(model={"name": "b", "sha256": "2"}))
    assert merge([first, second], tmp_path / "out.jsonl") == 4
    contents = read_records(tmp_path / "out.jsonl")
    assert [entry.text + "\n" for entry in contents.entries] == list(LINES)
    assert contents.header is not None and contents.header.model == {}


@pytest.mark.parametrize(("head", "words"), [
    (header(cpu_target("cortex-a72")), "target cortex-a72, not x86-64-v3"),
    (header(runner="static"), "runner static, not local"),
])  # fmt: skip
def test_what_does_not_compare_is_not_mixed(tmp_path: Path, head, words) -> None:
    paths = [write(tmp_path / "a.jsonl", LINES[0]), write(tmp_path / "b.jsonl", head=head)]
    with pytest.raises(UsageError, match=words):
        merge(paths, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_no_records_no_summary(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("")
    with pytest.raises(UsageError, match="holds no records"):
        read_all([tmp_path / "r.jsonl"])


def test_a_summary_tells_the_running_best(tmp_path: Path) -> None:
    (contents,) = read_all([write(tmp_path / "r.jsonl", *LINES)])
    conv, gemm = summaries(contents.entries)
    assert (conv.trials, conv.failed, conv.to_dict()["running_best"]) == (3, 1, [2e-3, 4e-4, 4e-4])
    assert conv.to_dict()["line"] == 3 and gemm.gflops == pytest.approx(2 * 1024 * 192 * 160 / 5e-4 / 1e9)


def test_a_launchs_best_is_that_of_the_least_time_and_instructions(tmp_path: Path) -> None:
    """Its instructions stay in its line through merge, export and prune, and are what report tells."""
    hasty, thrifty = {**CUT, "pixels": 4, "shares": 4}, {**CUT, "chunk": 32}
    trials = ((CUT, 4e-6, 100), (hasty, 3.84e-6, 106), (thrifty, 4.1e-6, 90))
    lines = [line(LAUNCH_TASK, cut, t, instructions=n, issue=n * 1.6e-8, off=1e-7) for cut, t, n in trials]
    head = header(load_target("sm_80"), "static")
    paths = [write(tmp_path / f"{number}.jsonl", text, head=head) for number, text in enumerate(lines)]
    assert merge(paths, tmp_path / "all.jsonl") == 3
    (summary,) = summaries(read_records(tmp_path / "all.jsonl").entries)
    assert summary.to_dict()["running_best"] == [4e-6, 4e-6, 4.1e-6]
    assert (summary.to_dict()["seconds"], summary.to_dict()["instructions"]) == (4.1e-6, 90)
    assert export(paths, tmp_path / "best.jsonl") == 1 and prune(tmp_path / "all.jsonl") == (3, 1)
    for name in ("best.jsonl", "all.jsonl"):
        assert [entry.text + "\n" for entry in read_records(tmp_path / name).entries] == [lines[2]]
