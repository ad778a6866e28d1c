"""The sweep's verdicts, its file, and how it goes on after an interrupt."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

import nincc
from nincc.bench.sweep import NetResult, SweepOptions, read_results, summary, sweep
from nincc.errors import ModelError

PROVEN = SweepOptions(small=True, timed=False)


def refuse(model, out):
    raise ModelError("cannot be compiled", where=model.name)


def net(**values):
    return NetResult(**{"seed": 1, "code": "c", "macs": 10, "error": 1e-7, **values})


@pytest.mark.parametrize(
    ("result", "right", "fast"),
    [
        (net(), True, True),
        (net(error=1.1e-5), False, True),
        (net(error=float("nan")), False, True),
        (net(error=None, failure="no"), False, True),
        (net(ours=2.19e-3, onnxruntime=2e-3), True, True),
        (net(ours=2.21e-3, onnxruntime=2e-3), True, False),
        (net(ours=9e-3, onnxruntime=0.9e-3), True, True),  # too short to judge
    ],
)
def test_verdict(result, right, fast):
    assert (result.right, result.fast) == (right, fast)


def test_softmax_of_logits_far_apart_on_large_inputs_is_right(tmp_path):
    """Net 83's logits lie 95 apart then: right to 4e-7 of that, and a probability is off by 3.5e-5."""

    def compile_net(model, out):
        nincc.compile(model, out=out, verify=False)

    (result,) = sweep([83], compile_net, tmp_path / "sweep.jsonl", SweepOptions(timed=False))
    assert result.right and result.error > 1e-6


def test_summary_names_the_seeds_that_fail():
    found = summary(
        [
            net(seed=1, ours=1e-3, onnxruntime=2e-3),
            net(seed=2, error=1e-3),
            net(seed=3, ours=5e-3, onnxruntime=2e-3),
            net(seed=4, error=None, failure="why"),
        ]
    )
    assert found["wrong"] == [2, 4] and found["slow"] == [3]
    assert found["failures"] == {4: "why"}
    assert (found["judged_for_speed"], found["largest_ratio"], found["largest_error"]) == (2, 2.5, 1e-3)


def test_a_net_that_does_not_compile_is_a_failure_and_is_not_done_twice(tmp_path):
    results = tmp_path / "build" / "sweep.jsonl"
    (first,) = sweep([3], refuse, results, PROVEN)
    assert first.failure == "model.onnx: cannot be compiled" and not first.right

    def must_not_be_called(model, out):
        raise AssertionError("this net is known")

    assert sweep([3], must_not_be_called, results, PROVEN) == [first]
    assert len(results.read_text().splitlines()) == 1


def test_results_of_other_sources_or_of_another_kind_do_not_count(tmp_path):
    results = tmp_path / "sweep.jsonl"
    results.write_text(json.dumps(asdict(net(seed=3, code="older"))) + "\n")
    assert sweep([3], refuse, results, PROVEN)[0].failure
    assert sweep([3], refuse, results, SweepOptions(small=True))[0].code.endswith("small-raced")
    assert len(read_results(results)) == 3


def test_line_cut_short_is_done_again(tmp_path):
    results = tmp_path / "sweep.jsonl"
    whole = json.dumps(asdict(net(seed=1))) + "\n"
    results.write_text(whole + whole[:20])
    assert [result.seed for result in read_results(results)] == [1]
    sweep([2], refuse, results, PROVEN)
    assert [result.seed for result in read_results(results)] == [1, 2]
