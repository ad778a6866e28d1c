"""One compiled net and its model for the tests that time something."""

from __future__ import annotations

from pathlib import Path

import pytest

import nincc


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory, digits_relu: Path) -> Path:
    """The digits net with ReLU before the pool, batch 1, for at most two threads."""
    out = tmp_path_factory.mktemp("bench") / "digits"
    nincc.compile(digits_relu, out=out, threads=2, verify=False)
    return out
