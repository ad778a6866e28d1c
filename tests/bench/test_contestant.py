"""Each peer gives our numbers on a real net before it is timed; one that does not is told so."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from nincc import zoo
from nincc.bench.contestant import Contestant, largest_difference
from nincc.bench.peers.base import PEERS
from nincc.bench.process import PeerFailure, save_arrays

OURS = np.array([[1.0, -4.0]], np.float32)


@pytest.mark.parametrize(
    ("found", "difference"),
    [
        ([OURS], 0),
        ([np.array([1.0, -4.4])], 0.1),  # a peer may drop the batch dimension
        ([np.array([[1.0, np.nan]])], np.inf),
        ([np.array([[1.0, 2.0, 3.0]])], np.inf),
        ([OURS, OURS], np.inf),
        ([], np.inf),
    ],
)
def test_difference_is_a_share_of_our_largest_output(found, difference):
    assert largest_difference(found, [OURS]) == pytest.approx(difference)


def test_maps_that_only_ours_has_are_not_compared():
    assert largest_difference([OURS], [OURS, np.ones((1, 8))]) == 0


@pytest.mark.parametrize("name", PEERS)
def test_peer_agrees_with_onnx_runtime_and_can_be_timed(name, tmp_path):
    missing = PEERS[name].missing()
    if missing:
        pytest.skip(f"{missing} is not installed")
    model, images = net_of_three_images(tmp_path)
    reference = scores(model, images)
    peer = Contestant(name, tmp_path / name)
    try:
        peer.start(model, 1, ["data"], [output_name(model)], tmp_path / "inputs.npz")
        peer.compare([reference])
        peer.burst(0.01, count=False)
        peer.burst(0.01)
        result = peer.result()
    finally:
        peer.close()
    assert result.note is None and result.timing is not None
    assert result.timing.count >= 3
    assert result.difference is not None and result.difference < 1e-5
    assert result.model_bytes is not None and result.model_bytes > model.stat().st_size / 2
    assert result.version != "?"


def test_peer_with_other_numbers_is_reported(tmp_path):
    model, images = net_of_three_images(tmp_path)
    peer = Contestant("onnxruntime", tmp_path / "peer")
    try:
        peer.start(model, 1, ["data"], [output_name(model)], tmp_path / "inputs.npz")
        with pytest.raises(PeerFailure, match="outputs differ from ours by"):
            peer.compare([scores(model, images) * np.float32(1.001)])
        result = peer.failure("why")
    finally:
        peer.close()
    assert result.timing is None and result.note == "why"
    assert result.difference == pytest.approx(1e-3, rel=0.01)


def test_a_restart_takes_another_process_and_keeps_the_timings(tmp_path):
    model, images = net_of_three_images(tmp_path)
    peer = Contestant("onnxruntime", tmp_path / "peer")
    try:
        peer.start(model, 1, ["data"], [output_name(model)], tmp_path / "inputs.npz")
        first = peer.worker
        peer.burst(0.01)
        before = peer.result()
        peer.restart()
        assert peer.worker is not first
        peer.compare([scores(model, images)])
        peer.burst(0.01)
        after = peer.result()
    finally:
        peer.close()
    assert after.timing.count >= before.timing.count + 3
    assert after.model_bytes == before.model_bytes and after.load_s > 0


def net_of_three_images(folder):
    """nin-mnist with batch 3 as a file, and its input, stored for a worker."""
    onnx.save(zoo.build("nin-mnist", batch=3), folder / "model.onnx")
    images = np.random.default_rng(0).standard_normal((3, 1, 28, 28), dtype=np.float32)
    save_arrays(folder / "inputs.npz", [images])
    return folder / "model.onnx", images


def output_name(model):
    return onnx.load(model).graph.output[0].name


def scores(model, images):
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return session.run(None, {"data": images})[0]
