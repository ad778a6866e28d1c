"""Equal things told once: a batch in parts runs the same kernels again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def counted(items: Iterable[T]) -> list[tuple[T, int]]:
    """Each distinct item and how often it occurs, in the order of the first occurrences."""
    found: list[T] = []
    times: list[int] = []
    for item in items:
        if item in found:
            times[found.index(item)] += 1
        else:
            found.append(item)
            times.append(1)
    return list(zip(found, times, strict=True))


def times_text(times: int) -> str:
    """``, 8 times``; nothing for one."""
    return f", {times} times" if times > 1 else ""
