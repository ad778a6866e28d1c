"""``bench`` on a compiled net: who is timed, who is left out and why, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import onnx
import pytest

from nincc.bench.contestant import Contestant
from nincc.bench.measure import BenchOptions, bench
from nincc.bench.peers import base
from nincc.bench.subject import file_for_peers, read_subject
from nincc.errors import ToolError, UsageError
from nincc.target import cpu_target

QUICK = BenchOptions(against=("onnxruntime",), rounds=2, seconds=0.02)


@pytest.fixture(scope="module")
def result(artefact, digits_relu):
    return bench(artefact, digits_relu, QUICK)


def test_both_are_timed_and_agree(result):
    ours, peer = result.programs
    assert (ours.name, peer.name) == ("nincc", "onnxruntime")
    assert min(ours.timing.count, peer.timing.count) >= 6
    assert peer.difference < 1e-5 and ours.difference is None
    assert result.fastest_peer is peer
    assert result.ratio(peer) == ours.timing.median / peer.timing.median


def test_costs_are_of_our_library(result, artefact):
    ours = result.ours
    assert ours.library_bytes == (artefact / "libnin.so").stat().st_size
    assert 0 < ours.peak_bytes < result.programs[1].peak_bytes


def test_json_holds_what_the_figures_follow_from(result):
    data = json.loads(json.dumps(result.to_dict()))
    ours = data["programs"][0]
    assert ours["gflops"] == pytest.approx(2e-9 * data["macs"] / ours["timing"]["median"])
    assert ours["share_of_peak"] == pytest.approx(ours["gflops"] / data["peak"]["gflops"])
    assert data["direct_limit_s"] == pytest.approx(2e-9 * data["macs"] / data["peak"]["gflops"])
    assert ours["ratio"] == 1


def test_every_few_rounds_all_programs_start_anew(artefact, digits_relu, monkeypatch):
    started = []
    restart = Contestant.restart
    monkeypatch.setattr(Contestant, "restart", lambda one: started.append(one.name) or restart(one))
    monkeypatch.setattr("nincc.bench.measure.ROUNDS_A_PROCESS", 2)
    result = bench(artefact, digits_relu, replace(QUICK, rounds=5))
    assert started == 3 * ["nincc", "onnxruntime"]
    assert all(program.timing.count >= 5 * 3 for program in result.programs)


def test_without_a_model_only_ours_is_timed(artefact):
    result = bench(artefact, options=BenchOptions(threads=2, rounds=1, seconds=0.01))
    assert [program.name for program in result.programs] == ["nincc"]
    assert any("--model" in text for text in result.notes)
    assert result.fastest_peer is None


def test_peer_that_is_not_installed_is_a_note(artefact, digits_relu, monkeypatch):
    only = {"onnxruntime": base.PEERS["onnxruntime"], "ghost": base.Peer("ghost", ("no_such_module",), "pip install g")}
    monkeypatch.setattr("nincc.bench.measure.PEERS", only)
    result = bench(artefact, digits_relu, BenchOptions(rounds=1, seconds=0.01))
    assert [program.name for program in result.programs] == ["nincc", "onnxruntime", "ghost"]
    assert result.programs[2].timing is None
    assert result.programs[2].note == "not installed: pip install g"


def test_peer_that_is_named_must_be_installed(artefact, digits_relu, monkeypatch):
    monkeypatch.setitem(base.PEERS, "mnn", base.Peer("mnn", ("no_such_module",), "pip install x"))
    with pytest.raises(ToolError, match="peer 'mnn' is not installed .no_such_module.; pip install x"):
        bench(artefact, digits_relu, BenchOptions(against=("onnxruntime", "mnn")))


def test_peer_that_fails_does_not_stop_the_others(artefact, digits_relu, tmp_path, monkeypatch):
    """The file that peers get is damaged after the artefact's model was checked."""
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    monkeypatch.setattr("nincc.bench.measure.file_for_peers", lambda subject, folder: tmp_path / "broken.onnx")
    ours, peer = bench(artefact, digits_relu, QUICK).programs
    assert ours.timing is not None
    assert peer.timing is None and "onnxruntime failed" in peer.note


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BenchOptions(threads=3), "3 threads, but the artefact was compiled for 1 to 2; compile it with --threads 3"),
        (BenchOptions(threads=0), "0 threads"),
        (BenchOptions(against=("mnm",)), "unknown peer 'mnm'; known peers: onnxruntime, openvino, ncnn, mnn"),
    ],
)
def test_wrong_options_are_usage_errors(artefact, digits_relu, options, message):
    with pytest.raises(UsageError, match=message):
        bench(artefact, digits_relu, options)


def test_naming_a_peer_needs_the_model(artefact):
    with pytest.raises(UsageError, match="add --model"):
        bench(artefact, None, QUICK)


def test_layers_need_the_model(artefact):
    with pytest.raises(UsageError, match="each kernel needs the ONNX model"):
        bench(artefact, None, BenchOptions(layers=True))


def test_another_model_is_refused(artefact, digits_linear):
    with pytest.raises(UsageError, match="is not the model that"):
        bench(artefact, digits_linear, QUICK)


def test_dynamic_batch_is_pinned_for_peers(digits_linear, artefact, tmp_path):
    subject = read_subject(artefact, None, 1)
    manifest = dict(subject.manifest, inputs=[{"name": "image", "shape": [5, 1, 28, 28]}])
    pinned = file_for_peers(type(subject)(artefact, manifest, digits_linear), tmp_path)
    graph = onnx.load(pinned).graph
    ends = (graph.input[0], graph.output[0])
    shapes = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in ends]
    assert shapes == [[5, 1, 28, 28], [5, 10]]


def test_static_model_is_given_as_it_is(artefact, digits_relu, tmp_path):
    copy = shutil.copy(digits_relu, tmp_path / "copy.onnx")
    subject = read_subject(artefact, copy, 1)
    assert file_for_peers(subject, tmp_path) == copy.resolve()


@pytest.mark.parametrize(
    ("name", "requires", "wanted"),
    [
        ("x86-64-v2", ["sse4_2"], "x86-64-v2"),
        ("my-cpu", [*cpu_target("x86-64-v2").requires, "avx", "sha_ni"], "x86-64-v2"),
    ],
)
def test_peak_is_of_the_vectors_that_the_artefact_uses(artefact, name, requires, wanted):
    subject = read_subject(artefact, None, 1)
    target = {**subject.manifest["target"], "name": name, "requires": requires}
    assert type(subject)(artefact, {**subject.manifest, "target": target}, None).target.name == wanted


def test_gpu_artefact_is_refused(artefact):
    subject = read_subject(artefact, None, 1)
    target = {**subject.manifest["target"], "name": "sm_80"}
    with pytest.raises(UsageError, match="is a GPU"):
        _ = type(subject)(artefact, {**subject.manifest, "target": target}, None).target


def test_machine_that_others_use_is_noted(artefact, monkeypatch):
    quick = BenchOptions(rounds=1, seconds=0.01)
    burn = "while True: pass"
    with subprocess.Popen([sys.executable, "-c", burn]) as other:
        result = bench(artefact, options=quick)
        other.kill()
    assert result.machine.busy_cores > 0.3
    assert any("cores busy" in text for text in result.notes)
    ticks = iter((100.0, 100.01))
    monkeypatch.setattr("nincc.bench.measure._cpu_seconds", lambda: next(ticks))
    assert not any("cores busy" in text for text in bench(artefact, options=quick).notes)
