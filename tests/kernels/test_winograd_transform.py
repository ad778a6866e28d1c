"""The transforms' vector code, run on plain numbers instead of vectors."""

import numpy as np
import pytest

from nincc.kernels.cook_toom import cook_toom
from nincc.kernels.winograd_transform import column_pairs, linear_map


class Numbers:
    """An emitter whose vectors are numbers; it counts the values that are computed."""

    def __init__(self):
        self.computed = 0

    def let(self, value):
        self.computed += 1
        return value

    def broadcast(self, value):
        return value


@pytest.mark.parametrize(("m", "r"), [(2, 3), (3, 3), (4, 3), (5, 3), (6, 3), (2, 5), (4, 5), (3, 4), (6, 7)])
@pytest.mark.parametrize("name", ["at", "bt"])
def test_linear_map_is_the_matrix(m, r, name):
    matrix = getattr(cook_toom(m, r), name)
    dense = np.array(matrix, dtype=np.float64)
    x = np.random.default_rng(m * 10 + r).standard_normal(dense.shape[1])
    got = linear_map(Numbers(), matrix, list(x))
    np.testing.assert_allclose(got, dense @ x, rtol=1e-9, atol=1e-9)


def test_output_transform_pairs_all_but_zero_and_infinity():
    pairs = column_pairs(cook_toom(4, 5).at)
    assert pairs == [(1, 2), (3, 4), (5, 6)]


def test_pairs_share_their_even_and_odd_parts():
    """Bᵀ of F(4, 5): two unpaired rows take a value each, three pairs four values each for two rows."""
    numbers = Numbers()
    linear_map(numbers, cook_toom(4, 5).bt, [1.0] * 8)
    assert numbers.computed == 2 + 3 * 4
