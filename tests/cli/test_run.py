"""``nincc run``: arrays, pictures, maps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import nincc as package
from tests.artefacts import small
from tests.cli.process import as_json, fail, succeed

GENERATOR = np.random.default_rng(5)
BYTES = GENERATOR.integers(0, 256, (2, 8, 8, 3), np.uint8)


@pytest.fixture
def pictures(tmp_path):
    for index, pixels in enumerate(BYTES):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    return tmp_path


def expected(images: np.ndarray):
    return package.load(small().folder)(np.ascontiguousarray(images, np.float32))


def test_arrays_in_and_out(tmp_path):
    x = GENERATOR.standard_normal((2, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=x)
    text = succeed("run", small().folder, "--input", "in.npz", "--output", "out.npz", "--threads", 2, cwd=tmp_path)
    probabilities, maps = expected(x)
    with np.load(tmp_path / "out.npz") as stored:
        np.testing.assert_array_equal(stored["prob"], probabilities)
        np.testing.assert_array_equal(stored["block2"], maps)
    best = probabilities[1].argmax()
    assert f"image 1  class {best}: {probabilities[1, best]:.4g}" in text
    assert text.endswith("wrote out.npz\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz", "out.npz"]


def test_pictures_are_bytes_over_255_in_rgb_order(pictures):
    data = as_json("run", small().folder, "--input", "0.png", "--input", "1.png", cwd=pictures)
    probabilities, _ = expected(BYTES.transpose(0, 3, 1, 2) / np.float32(255))
    (prob, maps) = data["outputs"]
    assert prob["shape"] == [2, 5] and maps["top"] == []
    for image in range(2):
        order = np.argsort(-probabilities[image])
        assert [entry["class"] for entry in prob["top"][image]] == order.tolist()
        assert prob["top"][image][0]["value"] == pytest.approx(probabilities[image].max())


def test_maps_are_one_picture_a_class_and_image(pictures):
    data = as_json("run", small().folder, "--input", "0.png", "--input", "1.png", "--maps", "maps", cwd=pictures)
    names = [f"image{image}_class{index}.png" for image in range(2) for index in range(5)]
    assert data["files"] == [f"maps/{name}" for name in names]
    _, maps = expected(BYTES.transpose(0, 3, 1, 2) / np.float32(255))
    brightness = {}
    for name in names:
        with Image.open(pictures / "maps" / name) as picture:
            assert picture.format == "PNG" and picture.size == (128, 128)
            brightness[name] = np.asarray(picture.convert("L"), float)
    for image in range(2):
        place = np.unravel_index(maps[image].argmax(), maps[image].shape)
        brightest = max(range(5), key=lambda index: brightness[f"image{image}_class{index}.png"].max())
        assert brightest == place[0]


def test_a_grey_picture_of_a_digit(tmp_path, digits, digits_relu):
    """The trained net, on a picture file, sees the digit."""
    package.compile(digits_relu, out=tmp_path / "net", verify=False)
    pixels = (digits.images[0, 0] * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    data = as_json("run", "net", "--input", "digit.png", cwd=tmp_path)
    assert data["outputs"][0]["top"][0][0]["class"] == digits.labels[0]
    colour = np.repeat(pixels[:, :, None], 3, axis=2)
    Image.fromarray(colour).resize((56, 56), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    message = fail(2, "run", "net", "--input", "large.png", cwd=tmp_path)
    assert "56 x 56 pixels, the input is 28 x 28; add --resize" in message
    again = as_json("run", "net", "--input", "large.png", "--resize", cwd=tmp_path)
    assert again["outputs"][0]["top"][0][0]["class"] == digits.labels[0]
    assert "keeps no class maps; compile it with --keep-maps" in fail(
        2, "run", "net", "--input", "digit.png", "--maps", "maps", cwd=tmp_path
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "0.png"], "1 pictures given, the batch is 2; give --input once an image"),
        (["--input", "none.png", "--input", "1.png"], "none.png: cannot be read: No such file"),
        (["--input", "none.npz"], "none.npz: cannot be read: No such file"),
        (["--input", "note.txt", "--input", "1.png"], "note.txt: is neither .npz nor a picture"),
        (["--input", "0.png", "--input", "1.png", "--threads", "3"], "it was compiled for 1 to 2"),
        (["--input", "wrong.npz"], "array 'x' has shape (1, 3, 8, 8); the graph wants (2, 3, 8, 8)"),
        (["--input", "0.png", "--input", "1.png", "--output", "no/where.npz"], "no/where.npz: cannot write"),
    ],
)
def test_errors(pictures, arguments, message):
    (pictures / "note.txt").write_text("hello")
    np.savez(pictures / "wrong.npz", x=np.zeros((1, 3, 8, 8), np.float32))
    assert message in fail(2, "run", small().folder, *arguments, cwd=pictures)
