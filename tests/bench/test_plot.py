"""The picture of a bench: it is drawn, shows what it must, and is refused before anything is measured."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from nincc.bench.plot import check_plot, plot_bench
from nincc.errors import ToolError, UsageError
from tests.bench.made_up import made_up_result

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)


@needs_matplotlib
def test_picture_shows_every_timed_program_and_kernel(tmp_path):
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot_bench(made_up_result(layers=True), tmp_path / "bench.svg")
    text = (tmp_path / "bench.svg").read_text()
    for word in ("nin-cifar10, batch 1, 1 thread", "5.00 ms, ours: 0.40 of it", "4.00 ms, ours: 0.50 of it"):
        assert word in text
    assert "conv1: conv2d" in text and "pool1: pool2d" in text
    assert "ncnn" not in text  # it was not timed
    assert "FMA peak (2.00)" in text


@needs_matplotlib
def test_png_is_a_picture(tmp_path):
    from PIL import Image

    plot_bench(made_up_result(), tmp_path / "bench.png")
    with Image.open(tmp_path / "bench.png") as picture:
        assert picture.width > 500
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 10


@pytest.mark.parametrize(
    ("name", "message"),
    [("bench.txt", "use .png or .svg or .pdf"), ("no/such/folder/bench.png", "make the folder first")],
)
def test_wrong_path_is_a_usage_error(tmp_path, name, message):
    with pytest.raises(UsageError, match=message):
        check_plot(tmp_path / name)


def test_without_matplotlib_says_how_to_get_it(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install 'nincc\[bench\]'"):
        check_plot(tmp_path / "bench.png")
