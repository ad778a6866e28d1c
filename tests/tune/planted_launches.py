"""A tuning worker with faults planted in its launches, by the pixels of a block's tile.

    2 pixels: a wrong result, the last activation is left out;  5 pixels: races, the barriers are left out
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from nincc.records.format import Entry
from nincc.tune import launch_trial, template, worker

WRONG, RACES = 2, 5
_right, _emit = template.mlpconv, launch_trial.emit_kernel
_pixels = 0


def mlpconv(data: Any, weights: Any, attrs: dict[str, Any]) -> Any:
    """The launch, perhaps without its last activation."""
    global _pixels
    _pixels = attrs["tile"][0] * attrs["tile"][1]
    kept = attrs["activations"].split()[:-1]
    return _right(data, weights, {**attrs, "activations": " ".join([*kept, "none"])} if _pixels == WRONG else attrs)


def emit_kernel(*arguments: Any) -> Any:
    """The PTX, perhaps without its barriers."""
    text = _emit(*arguments)
    return replace(text, text=re.sub(r"\tbar\.sync[^\n]*\n", "", text.text)) if _pixels == RACES else text


def errors_by_pixels(entries: Iterable[Entry]) -> dict[int, set[int]]:
    """The errors of the trials (0: none), by the pixels of their tile."""
    found: dict[int, set[int]] = {}
    for entry in entries:
        found.setdefault(int(entry.knobs["rows"]) * int(entry.knobs["cols"]), set()).add(entry.error)
    return found


if __name__ == "__main__":
    template.mlpconv, launch_trial.emit_kernel = mlpconv, emit_kernel
    worker.main()
