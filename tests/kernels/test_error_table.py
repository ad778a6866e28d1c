"""The table against fresh measurements with other seeds, and how it is read."""

import pytest

from nincc.errors import InternalError
from nincc.kernels.error_table import (
    CHANNELS,
    DIRECT,
    WINOGRAD,
    direct_error,
    measure_direct,
    measure_strassen,
    measure_winograd,
    strassen_error,
    winograd_error,
)


@pytest.mark.parametrize(("m", "r", "channels"), [(2, 3, 64), (4, 3, 64), (6, 3, 16), (4, 5, 64), (2, 7, 16)])
def test_table_is_what_is_measured(m, r, channels):
    measured = max(measure_winograd(m, r, channels, seed) for seed in (100, 101))
    assert measured / 2 <= winograd_error(m, r, channels) <= measured * 3


def test_direct_is_what_is_measured():
    measured = max(measure_direct(64, seed) for seed in (100, 101))
    assert measured / 2 <= direct_error(64) <= measured * 3


def test_strassen_is_what_is_measured():
    measured = max(measure_strassen(64, seed) for seed in (100, 101))
    assert measured / 2 <= strassen_error(64) <= measured * 3
    assert direct_error(64) < strassen_error(64)


def test_read_at_and_between_columns():
    row = WINOGRAD[4, 3]
    for channels, error in zip(CHANNELS, row, strict=True):
        assert winograd_error(4, 3, channels) == pytest.approx(error)
    assert winograd_error(4, 3, 1) == row[0]
    assert row[2] < winograd_error(4, 3, 128) < row[3]
    assert winograd_error(4, 3, 4 * CHANNELS[-1]) == pytest.approx(2 * row[-1])
    assert direct_error(CHANNELS[-1]) == DIRECT[-1]


def test_larger_tiles_are_less_exact():
    for r in (3, 5):
        errors = [winograd_error(m, r, 256) for m in (2, 4, 6)]
        assert errors == sorted(errors)


def test_an_unmeasured_algorithm_is_an_error():
    with pytest.raises(InternalError, match=r"F\(9, 3\)"):
        winograd_error(9, 3, 16)
