"""Damaged and hostile files: refused as models, whatever they hold, in bounded memory; nothing is written."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nincc.errors import ModelError
from nincc.frontend import load_model
from tests.cli.process import fail
from tests.frontend.agreement import save, single, weight
from tests.invalid.refusal import refusal
from tests.invalid.test_models import MODELS


@pytest.mark.parametrize("cut", [0, 1, 10, 100, -1, -20])
def test_a_truncated_file(tmp_path: Path, cut: int) -> None:
    data = single("Conv", (1, 3, 8, 8), [weight(4, 3, 3, 3)]).SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(data[: cut if cut >= 0 else len(data) + cut])
    assert "not an ONNX model" in refusal(path) or "opset" in refusal(path)


@pytest.mark.parametrize("data", [b"hello, world\n", b"\x89PNG\r\n\x1a\n", bytes(1000), b"PK\x03\x04" * 50])
def test_what_is_not_onnx(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    assert "not an ONNX model" in refusal(path)


def test_flipped_bytes_never_give_a_traceback(tmp_path: Path) -> None:
    """Whatever a damaged file holds, it is loaded or refused as a model."""
    data = (Path(__file__).parent.parent / "data/exports/view_legacy_18.onnx").read_bytes()
    rng = np.random.default_rng(3)
    path, refused = tmp_path / "net.onnx", 0
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            load_model(path)
        except ModelError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 30


@pytest.mark.parametrize("name", ["huge constant", "lying weight", "huge input"])
def test_a_gigantic_model_takes_no_memory(tmp_path: Path, name: str) -> None:
    """The refusal comes in a process that may use no more than 4 GiB of addresses."""
    path = save(MODELS[name][0](), tmp_path)
    code = (
        "import sys; from nincc.errors import ModelError; from nincc.frontend import load_model\n"
        "try: load_model(sys.argv[1])\n"
        "except ModelError as error: sys.exit(error.exit_code)"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    done = subprocess.run([sys.executable, "-c", code, str(path)], preexec_fn=limit, timeout=60)
    assert done.returncode == 2


@pytest.mark.parametrize("name", ["unsupported", "NaN", "cycle"])
def test_the_command_line_says_it_in_one_line_and_writes_nothing(tmp_path: Path, name: str) -> None:
    path = save(MODELS[name][0](), tmp_path)
    assert str(path) in fail(2, "compile", path, "-o", tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.onnx"]
