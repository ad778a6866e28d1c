"""Files: what a killed process left is set aside, two writers exclude each other, other files are refused by name."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from nincc.errors import UsageError
from nincc.records.file import locked, opened, read_records, write_records
from nincc.records.format import Entry, Header, Refused
from nincc.records.versions import VERSIONS, X86
from nincc.target import cpu_target, load_target
from tests.records.lines import CONV_TASK, CUT, DIRECT, F4, GEMM, GEMM_TASK, LAUNCH_TASK, header, line, write


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", line(CONV_TASK, F4, 4e-4, off=1e-6), line(GEMM_TASK, GEMM, None, 5))
    contents = read_records(path)
    first, second = contents.entries
    assert contents.header == header() and not contents.warnings
    assert (first.task, first.knobs, first.seconds, first.number, first.note) == (CONV_TASK, F4, 4e-4, 2, {"off": 1e-6})
    assert (second.seconds, second.error, second.condemns, second.number) == (None, 5, True, 3)


def test_autotvm_reads_it_too(tmp_path: Path) -> None:
    from nincc._tvm import tvm

    path = write(tmp_path / "r.jsonl", line(CONV_TASK, F4, 4e-4))
    ((trial, result),) = tvm.autotvm.record.load_from_file(str(path))
    assert result.costs == (4e-4,) and trial.task.name == CONV_TASK.name
    assert {knob: trial.config[knob].val for knob in F4} == F4


def test_a_line_torn_anywhere_is_set_aside(tmp_path: Path) -> None:
    whole, torn = line(CONV_TASK, F4, 4e-4), line(GEMM_TASK, GEMM, 5e-4)
    generator = random.Random(0)
    for cut in [1, len(torn) - 2, *(generator.randrange(1, len(torn) - 1) for _ in range(20))]:
        path = write(tmp_path / "r.jsonl", whole, torn[:cut])
        contents = read_records(path)
        assert len(contents.entries) == 1 and len(contents.bad) == 1
        assert contents.warnings[0].startswith("r.jsonl:3: line set aside: ")


@pytest.mark.parametrize("text", ["\0\0\0\n", "[]\n", "{}\n", "null\n", '{"input": 1}\n', "\xff\n", '"#"\n', "#\n"])
def test_a_corrupt_line_is_set_aside(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "r.jsonl", text, line(CONV_TASK, F4, 4e-4))
    contents = read_records(path)
    assert [entry.number for entry in contents.entries] == [3] and [bad[0] for bad in contents.bad] == [2]


@pytest.mark.parametrize(("knobs", "seconds"), [({**F4, "mr": 9}, 1e-4), (F4, -1.0), (F4, float("inf"))])
def test_a_record_that_cannot_be_is_set_aside(tmp_path: Path, knobs, seconds) -> None:
    contents = read_records(write(tmp_path / "r.jsonl", line(CONV_TASK, knobs, seconds)))
    assert not contents.entries and len(contents.bad) == 1


@pytest.mark.parametrize("note", [{}, {"instructions": 9}, {"instructions": 9, "issue": 0}, {"instructions": "many"}])
def test_a_launchs_estimate_without_its_instructions_is_set_aside(tmp_path: Path, note) -> None:
    head, estimate = header(load_target("sm_80"), "static"), {"estimate": True}
    trials = (4e-6, 0, estimate | note), (None, 4, {}), (4e-6, 0, estimate | {"instructions": 9, "issue": 1e-6})
    lines = [line(LAUNCH_TASK, CUT, seconds, error, **given) for seconds, error, given in trials]
    contents = read_records(write(tmp_path / "r.jsonl", *lines, head=head))
    assert [entry.instructions for entry in contents.entries] == [0, 9] and [bad[0] for bad in contents.bad] == [2]


def test_a_launch_that_was_timed_needs_no_instructions(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", line(LAUNCH_TASK, CUT, 4e-6), head=header(load_target("sm_80"), "local"))
    (entry,) = read_records(path).entries
    assert (entry.seconds, entry.instructions, entry.estimated) == (4e-6, 0, False)


def test_a_tuner_gets_a_whole_file(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", line(CONV_TASK, F4, 4e-4), line(GEMM_TASK, GEMM, 5e-4)[:70])
    with opened(path, header()) as file:
        assert len(file.contents.entries) == 1
        assert file.append(line(CONV_TASK, DIRECT, 2e-3)) == 3
    contents = read_records(path)
    assert [entry.seconds for entry in contents.entries] == [4e-4, 2e-3] and not contents.bad
    assert (tmp_path / "r.jsonl.bad").read_text() == line(GEMM_TASK, GEMM, 5e-4)[:70] + "\n"


def test_a_new_file_gets_the_header(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "r.jsonl"
    with opened(path, header(machine="this one")):
        pass
    assert read_records(path).header == header(machine="this one")


def test_two_tuners_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with (
        opened(path, header()),
        pytest.raises(UsageError, match="another nincc is writing to it"),
        opened(path, header()),
    ):
        pass
    with locked(path):
        pass


def test_a_lock_on_a_replaced_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with locked(path):
        write_records(path, header(), [])
        with locked(path):
            assert read_records(path).header == header()


def test_another_target_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl")
    with (
        pytest.raises(UsageError, match="target x86-64-v3, not cortex-a72"),
        opened(path, header(cpu_target("cortex-a72"))),
    ):
        pass
    with pytest.raises(Refused, match="x86-64-v3 whose cpu is znver3"):
        Header(target={**header().target, "cpu": "znver3"}, runner="local").require(cpu_target("x86"))


@pytest.mark.parametrize(("change", "words"), [({"format": 2}, "format 2"), ({"kernels": 0}, "kernel version 0")])
def test_another_format_or_version_is_refused_by_name(tmp_path: Path, change, words) -> None:
    path = write(tmp_path / "r.jsonl", head=replace(header(), **change))
    with pytest.raises(UsageError, match=words):
        read_records(path)


def test_a_line_of_another_kernel_version_is_refused(tmp_path: Path) -> None:
    old = line(CONV_TASK, F4, 4e-4).replace(f"nincc.conv2d/{VERSIONS[X86]}", "nincc.conv2d/0")
    contents = read_records(write(tmp_path / "r.jsonl", old))
    assert not contents.entries
    assert contents.warnings == [f"r.jsonl:2: refused: kernel version 0, this is {VERSIONS[X86]}"]


@pytest.mark.parametrize("content", ["no records\n", line(CONV_TASK, F4, 4e-4)])
def test_a_file_without_header(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(content)
    if content.startswith("no"):
        assert read_records(path).header is None and len(read_records(path).bad) == 1
    else:
        with pytest.raises(UsageError, match="has no header"):
            read_records(path)


def test_an_entry_knows_its_kernel() -> None:
    entry = Entry.parse(line(CONV_TASK, F4, 1e-3), 2)
    assert entry.key == Entry.parse(line(CONV_TASK, F4, None, 7), 3).key
    assert not Entry.parse(line(CONV_TASK, F4, None, 7), 3).condemns
