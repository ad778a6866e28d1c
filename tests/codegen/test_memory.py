"""The static memory plan: nothing live overlaps, and nothing is wasted where it need not be."""

from hypothesis import given

from codegen.plans import INTERVALS, assert_apart
from nincc.codegen.memory import Interval, aligned, peak, plan_memory


@given(INTERVALS)
def test_live_buffers_never_overlap(buffers: list[Interval]) -> None:
    assert_apart(buffers, *plan_memory(buffers))


@given(INTERVALS)
def test_total_lies_between_the_peak_and_the_sum(buffers: list[Interval]) -> None:
    _, total = plan_memory(buffers)
    live = [sum(aligned(b.bytes) for b in buffers if b.first <= step <= b.last) for step in range(30)]
    assert peak(buffers) == max(live)
    assert max(live) <= total <= sum(aligned(b.bytes) for b in buffers)


def test_a_plan_that_placing_by_size_misses_is_found() -> None:
    """By size, the scratch of step 3 takes the bottom, and what lives over steps 2 and 3 ends on top."""
    buffers = [Interval(786432, 0, 1), Interval(655360, 1, 2), Interval(393216, 2, 3), Interval(397312, 3, 3)]
    assert plan_memory(buffers)[1] == peak(buffers) == 786432 + 655360


def test_a_chain_needs_two_buffers_only() -> None:
    chain = [Interval(640, step, step + 1) for step in range(10)]
    offsets, total = plan_memory(chain)
    assert total == 2 * 640
    assert len(set(offsets)) == 2


def test_no_buffers_need_no_memory() -> None:
    assert plan_memory([]) == ([], 0)
