"""The tables of docs/performance.md."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nincc.bench.table import costs_table, machine_lines, replace_part, times_table
from nincc.errors import UsageError
from tests.bench.made_up import made_up_result


def cells(table: str, row: int) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[row + 2].strip("|").split("|")]


def test_row_holds_medians_and_the_share_of_the_fastest_peer():
    row = cells(times_table([made_up_result()]), 0)
    assert row[:8] == ["nin-cifar10", "1", "1", "2", "5", "–", "–", "4"]
    assert row[8:] == ["**0.50** (mnn)", "8%", "–", "100", "100%", "2.00"]


def test_row_of_two_threads_tells_how_far_apart_the_cores_were():
    row = cells(times_table([made_up_result(threads=2, core_to_core=(99e-9, 470e-9))]), 0)
    assert row[10] == "99 to 470"


def test_without_peers_there_is_no_share():
    result = made_up_result()
    assert cells(times_table([replace(result, programs=result.programs[:1])]), 0)[8] == "–"


def test_costs_are_listed_for_one_thread_and_timed_programs():
    table = costs_table([made_up_result(), made_up_result(threads=2)])
    assert [cells(table, row)[2] for row in range(3)] == ["nincc", "onnxruntime", "mnn"]
    assert cells(table, 0)[3:] == ["20.0", "30.0", "1.0", "0.0", "1.0"]
    assert len(table.splitlines()) == 5


def test_machine_is_named_with_every_version():
    text = machine_lines([made_up_result(notes=("it rained",)), made_up_result(threads=2, notes=("it rained",))])
    assert "A CPU, 2 cores" in text and "100 GFLOPS a core" in text and "mnn 1.0" in text
    assert text.count("it rained") == 1


def test_part_of_a_document_is_replaced_and_nothing_else():
    document = "a\n<!-- times -->\nold\n<!-- /times -->\nb\n"
    assert replace_part(document, "times", "new") == "a\n<!-- times -->\nnew\n<!-- /times -->\nb\n"
    with pytest.raises(UsageError, match="no place for 'costs'"):
        replace_part(document, "costs", "new")
