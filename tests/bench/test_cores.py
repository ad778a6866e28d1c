"""How far apart two cores are."""

import os
import threading

import pytest

from nincc.bench import cores


def test_two_cores_take_tens_of_nanoseconds_and_not_a_time_slice() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        assert cores.core_to_core() is None
        return
    before = os.sched_getaffinity(0)
    seconds = cores.core_to_core()
    assert seconds is not None and 1e-9 < seconds < 1e-3
    assert os.sched_getaffinity(0) == before, "the caller stays where it may run"
    assert threading.active_count() < 20


def test_one_core_has_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {3})
    assert cores.core_to_core() is None
