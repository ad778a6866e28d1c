"""counted: equal things once, in the order of the first."""

from nincc.report.counted import counted, times_text


def test_equal_things_stand_where_the_first_did():
    assert counted([{"a": 1}, {"b": 2}, {"a": 1}, {"a": 1}]) == [({"a": 1}, 3), ({"b": 2}, 1)]


def test_once_is_not_said():
    assert [times_text(times) for times in (1, 8)] == ["", ", 8 times"]
