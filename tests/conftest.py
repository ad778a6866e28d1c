"""Fixtures that several test folders use."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA = Path(__file__).resolve().parent / "data"


@dataclass(frozen=True)
class Digits:
    """Held-out digits: ``images`` float32 [200, 1, 28, 28] in 0..1, ``labels`` [200]."""

    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]


@pytest.fixture(scope="session")
def digits() -> Digits:
    with np.load(DATA / "digits.npz") as file:
        return Digits(file["images"].astype(np.float32)[:, None] / 255, file["labels"])


@pytest.fixture(scope="session")
def digits_linear() -> Path:
    """A trained net without activation before the pool; input ``image``, dynamic batch, output ``scores``."""
    return DATA / "digits_linear.onnx"


@pytest.fixture(scope="session")
def digits_relu() -> Path:
    """A trained net with ReLU before the pool and softmax behind it; batch 1."""
    return DATA / "digits_relu.onnx"


@pytest.fixture(scope="session")
def gcc() -> str:
    return _program("gcc")


@pytest.fixture(scope="session")
def valgrind() -> str:
    return _program("valgrind")


def _program(name: str) -> str:
    """The program's path; without it the test is skipped by name."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
