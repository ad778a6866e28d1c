"""Buffers of a memory plan move to where cores had memory before, and stay apart from those that live with them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.plans import INTERVALS, assert_apart
from nincc.codegen.memory import Interval, plan_memory
from nincc.codegen.settle import NEAR, passing, settle


@given(INTERVALS)
@settings(deadline=None, max_examples=50)
def test_buffers_stay_within_the_plan_and_apart(buffers: list[Interval]) -> None:
    planned, total = plan_memory(buffers)
    assert_apart(buffers, settle(buffers, planned, total), total)


@given(INTERVALS)
@settings(deadline=None, max_examples=50)
def test_no_more_bytes_pass_than_before(buffers: list[Interval]) -> None:
    planned, total = plan_memory(buffers)
    assert passed_on(buffers, settle(buffers, planned, total)) <= passed_on(buffers, planned)


@given(*[st.integers(0, 300), st.integers(1, 300)] * 2)
def test_passing_counts_bytes_of_different_halves(a: int, a_bytes: int, b: int, b_bytes: int) -> None:
    first, second = halves(a, a_bytes), halves(b, b_bytes)
    assert passing(a, a_bytes, b, b_bytes) == len(first[0] & second[1]) + len(first[1] & second[0])


def test_what_two_cores_have_halves_of_is_laid_on_the_same_middle() -> None:
    """A map, then scratch memory: at the map's bottom, the second core would take over lines of the first."""
    buffers = [Interval(4096, 0, 1), Interval(2048, 2, 3)]
    assert plan_memory(buffers) == ([0, 0], 4096)
    assert settle(buffers, [0, 0], 4096) == [0, 1024]


def test_a_buffer_long_gone_does_not_matter() -> None:
    buffers = [Interval(4096, 0, 1), Interval(2048, 2 + NEAR, 3 + NEAR)]
    assert settle(buffers, [0, 0], 4096) == [0, 0]


def passed_on(buffers: list[Interval], offsets: list[int]) -> int:
    """Bytes that pass between buffers near each other."""
    every = list(zip(buffers, offsets, strict=True))
    pairs = [(a, at, b, to) for i, (a, at) in enumerate(every) for b, to in every[:i]]
    near = [pair for pair in pairs if 0 < max(pair[0].first - pair[2].last, pair[2].first - pair[0].last) <= NEAR]
    return sum(passing(at, a.bytes, to, b.bytes) for a, at, b, to in near)


def halves(start: int, size: int) -> tuple[set[int], set[int]]:
    return set(range(start, start + size // 2)), set(range(start + size // 2, start + size))
