"""How the threads of a block share rows × columns items.  No TVM."""

from __future__ import annotations

import math


def rounds_by_column(rows: int, columns: int, threads: int) -> int:
    """Rounds of sharing rows × columns items among threads that each keep to one column (or to few)."""
    if columns > threads:
        return -(-columns // threads) * rows
    return -(-rows // min(threads // columns, rows))


PLACING = 2.2
"""What an item costs whose row and column are found anew, to one whose column is known."""


def shares_evenly(rows: int, columns: int, threads: int) -> bool:
    """Whether keeping to columns leaves so many threads idle that it pays to find each item's place anew."""
    return -(-rows * columns // threads) * PLACING < rounds_by_column(rows, columns, threads)


def sharing_rounds(rows: int, columns: int, threads: int) -> int:
    """Items of the busiest thread."""
    if shares_evenly(rows, columns, threads):
        return -(-rows * columns // threads)
    return rounds_by_column(rows, columns, threads)


FEW = 16
"""Rows that one thread may add up alone."""


def sum_parts(rows: int, quads: int, threads: int) -> int:
    """Threads that share the sum of ``rows`` numbers: enough that each adds few, in two rounds."""
    if rows <= FEW:
        return 1
    return max(1, min(math.isqrt(rows), threads // quads))
