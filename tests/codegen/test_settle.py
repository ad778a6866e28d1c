"""Buffers of a memory plan move to where cores had memory before, and stay apart from those that live with them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.plans import INTERVALS, assert_apart
from nincc.codegen.memory import Interval, end_of, plan_memory
from nincc.codegen.settle import NEAR, ROOM, WEIGHT, passing, settle


@given(INTERVALS)
@settings(deadline=None, max_examples=50)
def test_buffers_stay_apart_and_within_the_plan_and_its_room(buffers: list[Interval]) -> None:
    planned, total = plan_memory(buffers)
    offsets, size = settle(buffers, planned, total)
    assert_apart(buffers, offsets, size)
    assert size == end_of(buffers, offsets) <= total + ROOM


@given(INTERVALS)
@settings(deadline=None, max_examples=50)
def test_a_plan_grows_only_for_bytes_that_pass_no_more(buffers: list[Interval]) -> None:
    planned, total = plan_memory(buffers)
    offsets, size = settle(buffers, planned, total)
    assert size + WEIGHT * passed_on(buffers, offsets) <= total + WEIGHT * passed_on(buffers, planned)


@given(*[st.integers(0, 300), st.integers(1, 300)] * 2)
def test_passing_counts_bytes_of_different_halves(a: int, a_bytes: int, b: int, b_bytes: int) -> None:
    first, second = halves(a, a_bytes), halves(b, b_bytes)
    assert passing(a, a_bytes, b, b_bytes) == len(first[0] & second[1]) + len(first[1] & second[0])


def test_what_two_cores_have_halves_of_is_laid_on_the_same_middle() -> None:
    """A map, then scratch memory: at the map's bottom, the second core would take over lines of the first."""
    buffers = [Interval(4096, 0, 1), Interval(2048, 2, 3)]
    assert plan_memory(buffers) == ([0, 0], 4096)
    assert settle(buffers, [0, 0], 4096) == ([0, 1024], 4096)


def test_a_plan_grows_where_two_buffers_want_the_same_middle() -> None:
    """Side by side where the map was, each has a half on the other core's lines."""
    buffers = [Interval(4096, 0, 1), Interval(2048, 2, 3), Interval(2048, 2, 3)]
    assert plan_memory(buffers) == ([0, 0, 2048], 4096)
    offsets, size = settle(buffers, [0, 0, 2048], 4096)
    assert passed_on(buffers, [0, 0, 2048]) == 2048
    assert passed_on(buffers, offsets) <= 1024
    assert 4096 < size <= 6144


def test_the_next_inference_finds_what_the_last_steps_wrote() -> None:
    buffers = [Interval(4096, 0, 0), Interval(2048, 2 * NEAR, 2 * NEAR)]
    assert settle(buffers, [0, 0], 4096) == ([0, 1024], 4096)


def test_a_buffer_long_gone_does_not_matter() -> None:
    buffers = [Interval(4096, 0, 1), Interval(2048, 2 + NEAR, 3 + NEAR), Interval(64, 5 + 3 * NEAR, 5 + 3 * NEAR)]
    assert settle(buffers, [0, 0, 0], 4096) == ([0, 0, 0], 4096)


def passed_on(buffers: list[Interval], offsets: list[int]) -> int:
    """Bytes that pass between buffers near each other, the next inference's among them."""
    every = list(zip(buffers, offsets, strict=True))
    steps = max((buffer.last for buffer in buffers), default=0) + 1
    pairs = [(a, at, b, to) for i, (a, at) in enumerate(every) for b, to in every[:i] if not a.overlaps(b)]
    near = [pair for pair in pairs if any(0 < gap <= NEAR for gap in gaps(pair[0], pair[2], steps))]
    return sum(passing(at, a.bytes, to, b.bytes) for a, at, b, to in near)


def gaps(a: Interval, b: Interval, steps: int) -> list[int]:
    """Steps from the end of one to the start of the other, in this inference and into the next."""
    return [b.first - a.last, a.first - b.last, b.first + steps - a.last, a.first + steps - b.last]


def halves(start: int, size: int) -> tuple[set[int], set[int]]:
    return set(range(start, start + size // 2)), set(range(start + size // 2, start + size))
