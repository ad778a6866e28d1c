"""Errors, limits, and what counts as a probability."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nincc.verify.compare import (
    LOGITS,
    PROBABILITIES,
    Difference,
    Tolerance,
    compare,
    default_tolerance,
    is_probability,
)


def test_errors_of_a_known_case():
    found = compare(np.array([1.0, 2.5, -4.0]), np.array([1.0, 2.0, -5.0]), Tolerance(0.1, 0.25))
    assert found == Difference(max_abs=1.0, mean_abs=0.5, largest=5.0, limit=0.75)
    assert not found.passed
    assert found.relative == 0.2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_not_finite_never_passes(bad, side):
    pair = [np.ones(4), np.ones(4)]
    pair[side][2] = bad
    found = compare(*pair, Tolerance(math.inf, math.inf, cap=1e300))
    assert math.isinf(found.max_abs)
    assert not found.passed


def test_the_same_infinity_on_both_sides_does_not_pass():
    assert not compare(np.array([np.inf]), np.array([np.inf])).passed


def test_another_shape_never_passes():
    assert not compare(np.zeros((2, 3)), np.zeros((3, 2))).passed


def test_zeros_are_equal():
    found = compare(np.zeros(3), np.zeros(3))
    assert found.passed
    assert found.relative == 0
    assert compare(np.full(3, 1e-3), np.zeros(3)).relative == math.inf


def test_what_is_a_probability():
    even = np.full((2, 4, 1, 1), 0.25)
    assert is_probability(even)
    assert default_tolerance(even) == PROBABILITIES
    assert not is_probability(even * 1.001)
    assert not is_probability(np.array([[1.5, -0.5]]))
    assert not is_probability(np.ones((3, 1)))
    assert default_tolerance(np.array([[3.0, -1.0]])) is LOGITS


def test_probabilities_of_logits_far_apart_are_judged_by_those():
    """What float32 logits of 100 can be off by shows in a probability near one half."""
    close, far = (softmax(np.array([[apart, apart, 0.0]])) for apart in (15.0, 60.0))
    assert default_tolerance(close).limit(1.0) == 1e-5
    assert default_tolerance(far).limit(1.0) == pytest.approx(3e-5)
    assert default_tolerance(np.array([[1.0, 0.0]])).limit(1.0) == pytest.approx(5.1e-5)
    both = np.concatenate([close, far])
    assert default_tolerance(both) == default_tolerance(far)
    assert not compare(far + [[4e-5, -4e-5, 0.0]], far).passed
    assert compare(far + [[2e-5, -2e-5, 0.0]], far).passed


@pytest.mark.parametrize("largest", [1.0, 30.0, 600.0])
def test_logits_off_by_two_of_float32s_steps_pass_and_by_sixteen_fail(largest):
    exact = np.array([[largest, largest, 0.0]])
    ulp = np.spacing(np.float32(largest))
    assert compare(softmax(exact + [[2 * ulp, -2 * ulp, 0.0]]), softmax(exact)).passed
    step = max(16 * ulp, 4e-5)  # below 20 apart 1e-5 of the probability is what counts
    assert not compare(softmax(exact + [[step, -step, 0.0]]), softmax(exact)).passed


def test_logits_far_apart_excuse_little_where_they_decide():
    sure = softmax(np.array([[600.0, 590.0, 0.0]]))
    assert default_tolerance(sure).limit(1.0) < 1.1e-4
    assert not compare(sure + [[-2e-4, 2e-4, 0.0]], sure).passed


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_limits():
    assert PROBABILITIES.limit(1.0) == 1e-5
    assert PROBABILITIES.limit(0.001) == pytest.approx(1.05e-6)
    assert LOGITS.limit(10.0) == pytest.approx(2.01e-4)


def test_the_share_of_the_limit_ranks_inputs():
    small = Difference(max_abs=1e-6, mean_abs=1e-7, largest=0.01, limit=2e-6)
    large = Difference(max_abs=1e-4, mean_abs=3e-5, largest=100.0, limit=2e-3)
    assert small.share_of_limit == pytest.approx(0.5) and large.share_of_limit == pytest.approx(0.05)
    assert Difference(0.0, 0.0, 1.0, 0.0).share_of_limit == 0
    assert Difference(1e-9, 0.0, 1.0, 0.0).share_of_limit == math.inf
