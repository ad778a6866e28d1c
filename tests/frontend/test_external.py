"""External data: read from the model's folder, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nincc.errors import ModelError
from nincc.frontend import load_model
from tests.frontend.agreement import agree, build, weight

WEIGHT = weight(4, 3, 1, 1)


def model_with(folder: Path, **entries: str | None) -> Path:
    """A convolution whose weight is external, in ``w.bin`` unless ``entries`` say otherwise."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    proto = build([node], {"x": (1, 3, 4, 4)}, {"y": None})
    tensor = proto.graph.initializer.add(
        name="w", data_type=TensorProto.FLOAT, dims=WEIGHT.shape, data_location=TensorProto.EXTERNAL
    )
    given = {"location": "w.bin", "offset": "0", "length": str(WEIGHT.nbytes), **entries}
    for key, value in given.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    folder.mkdir(exist_ok=True)
    path = folder / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_data_is_read_at_its_offset(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16) + WEIGHT.tobytes() + bytes(8))
    model = agree(model_with(tmp_path, offset="16"))
    found = onnx.numpy_helper.to_array(model.proto.graph.initializer[0])
    np.testing.assert_array_equal(found, WEIGHT)


def test_offset_and_length_may_be_absent(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    agree(model_with(tmp_path, offset=None, length=None))


def test_a_folder_below_the_models_is_fine(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(WEIGHT.tobytes())
    agree(model_with(tmp_path, location="weights/w.bin"))


def test_a_link_within_the_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "w.bin").symlink_to("real.bin")
    load_model(model_with(tmp_path))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """The weight's true bytes, but beside the model's folder."""
    path = tmp_path / "outside.bin"
    path.write_bytes(WEIGHT.tobytes())
    return path


def test_an_absolute_path_is_refused(tmp_path: Path, outside: Path) -> None:
    for location in (str(outside), "C:\\w.bin", "\\\\host\\share\\w.bin"):
        with pytest.raises(ModelError, match="tensor 'w' keeps its data at the absolute path"):
            load_model(model_with(tmp_path / "model", location=location))


@pytest.mark.parametrize("location", ["../outside.bin", "a/../../outside.bin", "..\\outside.bin"])
def test_a_path_upwards_is_refused(tmp_path: Path, outside: Path, location: str) -> None:
    with pytest.raises(ModelError, match="outside the model's folder"):
        load_model(model_with(tmp_path / "model", location=location))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, outside: Path) -> None:
    path = model_with(tmp_path / "model")
    (path.parent / "w.bin").symlink_to(outside)
    with pytest.raises(ModelError, match="a link out of the model's folder"):
        load_model(path)


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "w.bin").write_bytes(WEIGHT.tobytes())
    path = model_with(tmp_path / "model", location="sub/w.bin")
    (path.parent / "sub").symlink_to(other)
    with pytest.raises(ModelError, match="a link out of the model's folder"):
        load_model(path)


def test_a_missing_file_an_empty_name_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'w.bin', which is not there"):
        load_model(model_with(tmp_path))
    with pytest.raises(ModelError, match="tensor 'w' has the external data location ''"):
        load_model(model_with(tmp_path, location=None))
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match="which is not a file"):
        load_model(model_with(tmp_path, location="folder"))


def test_a_short_file_is_refused(tmp_path: Path) -> None:
    path = model_with(tmp_path)
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes()[:-1])
    with pytest.raises(ModelError, match="reads past the end of 'w.bin'"):
        load_model(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"length": "8"}, "8 bytes of external data where its shape needs 48"),
        ({"offset": "1"}, "reads past the end"),
        ({"offset": "-4"}, "is no byte count"),
        ({"offset": "x"}, "is no byte count"),
        ({"length": "9" * 30}, "is no byte count"),
    ],
)
def test_wrong_offsets_and_lengths(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    with pytest.raises(ModelError, match=message):
        load_model(model_with(tmp_path, **entries))


def test_a_gigantic_tensor_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """The file is sparse: 4 TiB by its size, nothing on the disk."""
    path = model_with(tmp_path, length=str(4 << 40))
    proto = onnx.load(path, load_external_data=False)
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend([1 << 20, 1 << 20, 1, 1])
    path.write_bytes(proto.SerializeToString())
    with open(tmp_path / "w.bin", "wb") as stream:
        stream.truncate(4 << 40)
    with pytest.raises(ModelError, match="tensor 'w' does not fit"):
        load_model(path)
