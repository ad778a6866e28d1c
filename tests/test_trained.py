"""The trained nets in tests/data/ are what the tests and the demo take them for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

DATA = Path(__file__).resolve().parent / "data"
NETS = ["digits_linear", "digits_relu"]


def scores(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": image[None]})[0] for image in images])


def test_digits_are_two_hundred_labelled_pictures() -> None:
    digits = np.load(DATA / "digits.npz")
    assert digits["images"].shape == (200, 28, 28) and digits["images"].dtype == np.uint8
    assert digits["labels"].shape == (200,) and digits["labels"].dtype == np.uint8
    assert set(digits["labels"].tolist()) == set(range(10))


@pytest.mark.parametrize("name", NETS)
def test_net_is_small_and_in_one_file(name: str) -> None:
    path = DATA / f"{name}.onnx"
    assert path.stat().st_size < 200_000
    model = onnx.load(path, load_external_data=False)
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert model.producer_name == "pytorch" and model.opset_import[0].version >= 18


def test_ends_are_linear_and_relu() -> None:
    def end(name: str) -> list[str]:
        ops = [node.op_type for node in onnx.load(DATA / f"{name}.onnx").graph.node]
        return ops[len(ops) - 1 - ops[::-1].index("Conv") :]

    assert end("digits_linear") == ["Conv", "ReduceMean", "Reshape"]
    assert end("digits_relu") == ["Conv", "Relu", "ReduceMean", "Reshape", "Softmax"]


@pytest.mark.parametrize("name", NETS)
def test_accuracy_on_the_held_out_digits(name: str) -> None:
    digits = np.load(DATA / "digits.npz")
    images = digits["images"].astype(np.float32)[:, None] / 255
    assert (scores(DATA / f"{name}.onnx", images).argmax(1) == digits["labels"]).mean() >= 0.95
