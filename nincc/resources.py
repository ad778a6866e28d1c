"""Finds the data folders ``targets/`` and ``schedules/``, in a wheel and in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    """A wheel carries the folder inside the package; a checkout has it beside the package."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def targets_dir() -> Path:
    """The folder of ``<target>.toml`` files."""
    return _folder("targets")


def schedules_dir() -> Path:
    """The folder of ``<target>.jsonl`` tuned records."""
    return _folder("schedules")
