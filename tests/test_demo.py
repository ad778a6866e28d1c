"""examples/demo.py: it passes on the real nets, and fails where a result is wrong."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
LABELS = np.arange(200) % 10
SCORES = np.eye(10, dtype=np.float32)[LABELS]


@pytest.fixture(scope="module")
def demo() -> Any:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_demo_agrees_with_onnx_runtime_on_every_digit() -> None:
    done = subprocess.run([sys.executable, "examples/demo.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("same answer on 200 of 200") == 4
    assert done.stdout.splitlines()[-1] == "all digits agree with ONNX Runtime"


def test_equal_scores_pass(demo: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.compare(SCORES, SCORES, LABELS)
    assert "accuracy 100.0% on 200 digits" in capsys.readouterr().out


def test_one_differing_digit_fails_and_is_named(demo: Any, capsys: pytest.CaptureFixture[str]) -> None:
    scores = SCORES.copy()
    scores[17] = SCORES[16]
    assert not demo.compare(scores, SCORES, LABELS)
    assert "digit 17: nincc says 6, ONNX Runtime 7" in capsys.readouterr().out


def test_scores_that_are_off_fail_though_every_answer_agrees(demo: Any) -> None:
    assert not demo.compare(SCORES * np.float32(1.001), SCORES, LABELS)


def test_low_accuracy_fails_though_the_reference_agrees(demo: Any) -> None:
    labels = LABELS.copy()
    labels[:11] = (labels[:11] + 1) % 10
    assert not demo.compare(SCORES, SCORES, labels)


@pytest.mark.parametrize(("wrong", "passes"), [(0, True), (10, True), (11, False)])
def test_maps_must_name_the_label(demo: Any, wrong: int, passes: bool) -> None:
    maps = np.broadcast_to(SCORES[:, :, None, None], (200, 10, 7, 7)).copy()
    maps[:wrong] = np.roll(maps[:wrong], 1, axis=1)
    assert demo.compare_maps(maps, LABELS) is passes
