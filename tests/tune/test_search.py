"""The search: the rule first, then fewer trials than a random walk would need; failures are left behind."""

from __future__ import annotations

import numpy as np
import pytest

from nincc.kernels.cost import Core
from nincc.records.spaces import space_of
from nincc.target import load_target
from nincc.tune.predict import predicted_cycles
from nincc.tune.search import Search
from tests.records.lines import CONV_TASK, CUT, DIRECT, F4, GEMM, GEMM_TASK, LAUNCH_TASK, X86

BUDGET = 1e-5


def seconds_of(knobs, spread=0.0, generator=None) -> float:
    """A machine that the cost model knows badly: it likes large blocks of tiles and hates the order "tile"."""
    cycles = predicted_cycles(Core(X86), space_of(CONV_TASK), knobs)
    likes = 0.6 if knobs["m"] == 3 else 1.0
    likes *= (1 + 1 / max(1, knobs["tile_block"])) * (1.5 if knobs["order"] == "tile" else 1.0)
    return cycles / 3e9 * likes * (1 + spread * (generator.standard_normal() if generator else 0))


def run(search: Search, trials: int, cost=seconds_of) -> list:
    tried = []
    for _ in range(trials):
        knobs = search.next()
        if knobs is None:
            break
        tried.append(knobs)
        search.add(knobs, cost(knobs))
    return tried


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_a_machine_that_the_model_knows_badly(seed: int) -> None:
    search = Search(space_of(CONV_TASK), F4, X86, BUDGET, seed)
    every = sorted(search.points, key=lambda knobs: seconds_of(knobs) * (1 + space_of(CONV_TASK).imbalance(knobs, 4)))
    run(search, 60)
    place = every.index(search.points[search.best])
    assert place < len(every) * 0.01, f"place {place} of {len(every)}"


def test_the_rule_comes_first_then_each_algorithm() -> None:
    tried = run(Search(space_of(CONV_TASK), F4, X86, BUDGET), 5)
    assert tried[0] == F4 and {knobs["m"] for knobs in tried} == {0, 2, 3, 4}


def test_no_kernel_twice_and_an_end() -> None:
    search = Search(space_of(GEMM_TASK), GEMM, X86, BUDGET)
    tried = run(search, 10_000, lambda knobs: 1e-3)
    assert len(tried) == len(search.points) == len({tuple(knobs.values()) for knobs in tried})
    assert search.next() is None


def test_pending_kernels_are_not_given_out_again() -> None:
    search = Search(space_of(CONV_TASK), DIRECT, X86, BUDGET)
    given = [search.next() for _ in range(20)]
    assert len({tuple(knobs.values()) for knobs in given}) == 20


def test_the_same_seed_and_times_give_the_same_trials() -> None:
    first, second = (run(Search(space_of(CONV_TASK), F4, X86, BUDGET, 7), 25) for _ in range(2))
    assert first == second


def test_what_fails_is_never_the_best() -> None:
    search = Search(space_of(CONV_TASK), F4, X86, BUDGET)
    for knobs in run(search, 30, lambda knobs: None if knobs["m"] == 4 else seconds_of(knobs)):
        assert search.points[search.best]["m"] != 4 or knobs["m"] == 4
    best = search.points[search.best]
    search.add(best, None, condemned=True)
    search.add(best, 1e-9)
    assert search.points[search.best] != best


def test_the_close_ones_and_the_rule_are_timed_again() -> None:
    search = Search(space_of(CONV_TASK), F4, X86, BUDGET)
    run(search, 20)
    again = []
    while (knobs := search.next_final()) is not None:
        again.append(knobs)
        search.add(knobs, seconds_of(knobs))
    assert F4 in again and search.points[search.best] in again
    counts = [len(times) for times in search.times.values()]
    assert max(counts) == 3 and np.sum(np.array(counts) > 1) <= 4


def test_trials_of_another_budget_are_left_out() -> None:
    search = Search(space_of(CONV_TASK), F4, X86, BUDGET)
    search.add({**F4, "m": 5}, 1e-9)
    assert search.trials == 0 and search.best is None


def test_a_launch_of_more_instructions_must_be_faster_by_more() -> None:
    search = Search(space_of(LAUNCH_TASK), CUT, load_target("sm_80"), BUDGET)
    first, hasty, thrifty = (search.next() for _ in range(3))
    assert first == CUT
    search.add(CUT, 4e-6, counted=(100, 1.6e-6))
    search.add(hasty, 3.84e-6, counted=(106, 1.7e-6))
    assert search.points[search.best] == CUT and search.since == 1
    search.add(thrifty, 4.1e-6, counted=(90, 1.44e-6))
    assert search.points[search.best] == thrifty and search.since == 0
    assert (search.rule_seconds, search.rule_instructions) == (4e-6, 100)
    assert (search.best_seconds, search.best_instructions) == (4.1e-6, 90)
