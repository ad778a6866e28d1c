"""How long work tells what it does: the stage, and how much of it is done."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Told the name of what is being done, how much of it is done, and how much there is (0: unknown)."""


def silent(doing: str, done: int, total: int) -> None:
    """Tells nobody."""
