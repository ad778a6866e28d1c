"""A board that drops out is replaced; a kernel that breaks every board is its own fault."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nincc.errors import DeviceError
from nincc.records.format import CRASHED, FAILED
from nincc.tune import runners
from nincc.tune.options import TuneOptions
from nincc.tune.process import Outcome
from nincc.tune.runners import ATTEMPTS, Pool

OPTIONS = TuneOptions(runner="rpc", tracker="127.0.0.1:9190", key="k")
BROKEN = Outcome(None, CRASHED, "the session broke", lost=True)
NO_BOARD = Outcome(None, FAILED, "stopped after 60 s", lost=True)
RIGHT = Outcome(1e-3)

Make = Callable[..., tuple[Pool, list[str]]]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a pool of one worker whose trials end as told, and the list of what each was asked."""

    def make(*outcomes: Outcome) -> tuple[Pool, list[str]]:
        asked: list[str] = []
        left = list(outcomes)

        class Worker:
            def __init__(self, module: str) -> None:
                pass

            def trial(self, request, timeout: float) -> Outcome:
                asked.append(request["runner"]["key"])
                return left.pop(0)

        monkeypatch.setattr(runners, "Worker", Worker)
        return Pool(OPTIONS, 1), asked

    return make


def test_a_lost_board_is_tried_elsewhere(pool: Make) -> None:
    one, asked = pool(BROKEN, RIGHT)
    assert one.measure({}) == RIGHT and asked == ["k", "k"]


def test_what_breaks_every_board_is_recorded(pool: Make) -> None:
    one, asked = pool(*[BROKEN] * ATTEMPTS)
    assert one.measure({}) == BROKEN and len(asked) == ATTEMPTS


def test_no_board_at_all_ends_the_tuning(pool: Make) -> None:
    one, _ = pool(*[NO_BOARD] * ATTEMPTS)
    with pytest.raises(DeviceError, match="no board of key 'k' answers"):
        one.measure({})


def test_what_fails_by_itself_is_not_tried_again(pool: Make) -> None:
    one, asked = pool(Outcome(None, CRASHED, "ended by SIGSEGV"))
    assert one.measure({}).error == CRASHED and len(asked) == 1
