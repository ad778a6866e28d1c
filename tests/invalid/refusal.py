"""What every refusal of a model must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from nincc.errors import ModelError
from nincc.frontend import load_model


def refusal(path: Path) -> str:
    """The message the model is refused with, after the checks that every message must pass."""
    with pytest.raises(ModelError) as caught:
        load_model(path)
    text = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in text and len(text) < 600
    assert text.startswith(str(path))
    return text
