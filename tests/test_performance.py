"""examples/performance.py: every measured target has its tables in docs/performance.md, and only those are replaced."""

from __future__ import annotations

import pytest

from examples.performance import DOCUMENT, PARTS, main, written
from nincc.target import cpu_target, native_target


@pytest.mark.parametrize("target", ["x86-64-v3", "x86-64-v4"])
def test_document_has_a_place_for_every_table(target):
    before = DOCUMENT.read_text()
    after = written(before, dict.fromkeys(PARTS, "NEW"), target)
    assert after.count("-->\nNEW\n<!--") == len(PARTS) == 5
    other = ({"x86-64-v3", "x86-64-v4"} - {target}).pop()
    assert _tables(after, other) == _tables(before, other)


def test_tables_of_another_target_than_the_cpus_own_are_not_overwritten(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--target", "cortex-a72"])
    assert f"own target, here {native_target().name}; leave --target out, or add --print" in capsys.readouterr().err


def test_an_unknown_target_is_told_in_a_line_though_nothing_is_written(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--target", "nonsense", "--print"])
    assert "unknown target 'nonsense'" in capsys.readouterr().err


def test_a_cpu_without_a_place_is_told_before_anything_is_measured(capsys, monkeypatch):
    monkeypatch.setattr("examples.performance.native_target", lambda: cpu_target("neoverse-n1"))
    with pytest.raises(SystemExit, match="2"):
        main(["--target", "neoverse-n1"])
    assert "no place for 'machine neoverse-n1'" in capsys.readouterr().err


def _tables(document: str, target: str) -> list[str]:
    return [document.partition(f"<!-- {part} {target} -->")[2].partition("<!-- /")[0] for part in PARTS]
