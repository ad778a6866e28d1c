"""Kernels have a version a family of targets: a change to one family's leaves the others' records alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from nincc.errors import UsageError
from nincc.records import versions
from nincc.records.file import read_records
from nincc.records.format import machine_of
from nincc.records.versions import version_for, version_of
from nincc.target import load_target
from tests.records.lines import CONV_TASK, CUT, F4, LAUNCH_TASK, header, line, write


@pytest.mark.parametrize("name", ["x86-64-v2", "x86-64-v4", "cortex-a7", "neoverse-n1", "sm_75", "sm_90"])
def test_a_header_tells_its_family(name: str) -> None:
    target = load_target(name)
    assert version_of(machine_of(target)) == version_for(target) == header(target).kernels


def test_one_familys_change_refuses_its_records_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x86 = write(tmp_path / "x86.jsonl", line(CONV_TASK, F4, 4e-4))
    launch = line(LAUNCH_TASK, CUT, 4e-6, instructions=9, issue=1e-6)
    gpu = write(tmp_path / "gpu.jsonl", launch, head=header(load_target("sm_80"), "static"))
    monkeypatch.setitem(versions.VERSIONS, "x86", 7)
    with pytest.raises(UsageError, match="kernel version [0-9]+, this nincc has 7"):
        read_records(x86)
    assert len(read_records(gpu).entries) == 1
