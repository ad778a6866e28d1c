"""Medians, spreads and rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nincc.bench.statistics import ratio_of_medians, summarise
from nincc.errors import InternalError


def test_one_slow_run_moves_neither_median_nor_spread():
    steady = [1.0] * 95
    timing = summarise([*steady, *[100.0] * 5])
    assert (timing.count, timing.minimum, timing.median) == (100, 1.0, 1.0)
    assert timing.spread == 0


def test_percentiles_of_a_ramp():
    timing = summarise([float(value) for value in range(1, 102)])
    assert (timing.p10, timing.median, timing.p90) == (11, 51, 91)
    assert timing.spread == pytest.approx(80 / 51)


def test_rate_counts_two_operations_a_mac():
    assert summarise([0.002]).gflops(100_000_000) == pytest.approx(100)


def test_ratio_is_below_one_where_ours_is_faster():
    assert ratio_of_medians(summarise([1.0, 2.0, 3.0]), summarise([4.0])) == 0.5


def test_nothing_timed_is_an_error():
    with pytest.raises(InternalError, match="no inference"):
        summarise([])


@given(st.lists(st.floats(1e-6, 10), min_size=1))
def test_order_holds_for_any_times(times):
    timing = summarise(times)
    bounds = [timing.minimum, timing.p10, timing.median, timing.p90, max(times)]
    assert all(low <= high * (1 + 1e-12) for low, high in zip(bounds, bounds[1:], strict=False))
