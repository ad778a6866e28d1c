"""Buffers for memory plans, and what every plan of them must keep to."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from nincc.codegen.memory import ALIGNMENT, Interval

INTERVALS = st.lists(
    st.builds(
        lambda size, first, length: Interval(size, first, first + length),
        st.integers(1, 5000), st.integers(0, 20), st.integers(0, 5),
    ),
    max_size=25,
)


def assert_apart(buffers: Sequence[Interval], offsets: Sequence[int], total: int) -> None:
    """All lie aligned within ``total`` bytes, and those that live at once do not overlap."""
    for i, a in enumerate(buffers):
        assert offsets[i] % ALIGNMENT == 0
        assert 0 <= offsets[i] <= total - a.bytes
        for j, b in enumerate(buffers[:i]):
            if a.overlaps(b):
                assert offsets[i] + a.bytes <= offsets[j] or offsets[j] + b.bytes <= offsets[i]
