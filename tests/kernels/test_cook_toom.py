"""F(m, r) is an identity over the rationals: checked exactly, not to a tolerance."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nincc.errors import InternalError
from nincc.kernels.cook_toom import LARGEST_TILE, cook_toom, finite_points

small = st.fractions(min_value=-8, max_value=8, max_denominator=16)


def product(matrix, vector):
    return [sum((a * x for a, x in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


def multiply(left, right):
    return [product(list(zip(*right, strict=True)), row) for row in left]


def correlate(data, taps, outputs):
    return [sum((data[i + j] * g for j, g in enumerate(taps)), Fraction(0)) for i in range(outputs)]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(1, 6), st.integers(2, 7), st.data())
def test_one_dimension_is_exact(m, r, data):
    tile = data.draw(st.lists(small, min_size=m + r - 1, max_size=m + r - 1))
    taps = data.draw(st.lists(small, min_size=r, max_size=r))
    f = cook_toom(m, r)
    products = [u * v for u, v in zip(product(f.g, taps), product(f.bt, tile), strict=True)]
    assert product(f.at, products) == correlate(tile, taps, m)


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (4, 5), (3, 4)])
def test_two_dimensions_are_exact(m, r):
    n = m + r - 1
    tile = [[Fraction((7 * i + 3 * j * j) % 11 - 5, 3) for j in range(n)] for i in range(n)]
    taps = [[Fraction((5 * i + i * j + 2 * j) % 7 - 3, 2) for j in range(r)] for i in range(r)]
    f = cook_toom(m, r)
    v = multiply(multiply(f.bt, tile), list(zip(*f.bt, strict=True)))
    u = multiply(multiply(f.g, taps), list(zip(*f.g, strict=True)))
    hadamard = [[a * b for a, b in zip(x, y, strict=True)] for x, y in zip(u, v, strict=True)]
    got = multiply(multiply(f.at, hadamard), list(zip(*f.at, strict=True)))
    wanted = [
        [sum(tile[y + i][x + j] * taps[i][j] for i in range(r) for j in range(r)) for x in range(m)] for y in range(m)
    ]
    assert got == wanted


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (6, 3), (4, 5), (2, 7), (6, 7)])
def test_shapes_and_bounded_entries(m, r):
    f = cook_toom(m, r)
    assert f.n == m + r - 1
    assert (len(f.at), len(f.at[0])) == (m, f.n)
    assert (len(f.g), len(f.g[0])) == (f.n, r)
    assert (len(f.bt), len(f.bt[0])) == (f.n, f.n)


def test_known_matrix_of_lavin_and_gray():
    """F(2, 3) up to the sign of rows, which the paper chose otherwise."""
    f = cook_toom(2, 3)
    assert f.at == ((1, 1, 1, 0), (0, 1, -1, 1))
    half = Fraction(1, 2)
    assert f.g == ((-1, 0, 0), (half, half, half), (half, -half, half), (0, 0, 1))
    assert f.bt == ((-1, 0, 1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1))


@pytest.mark.parametrize("n", range(2, LARGEST_TILE + 1))
def test_points_are_distinct_and_paired(n):
    points = finite_points(n)
    assert len(points) == len(set(points)) == n - 1
    assert {-p for p in points} == set(points)


@pytest.mark.parametrize(("m", "r"), [(8, 7), (1, 1), (0, 3)])
def test_no_such_algorithm_is_an_error(m, r):
    with pytest.raises(InternalError, match=rf"F\({m}, {r}\)"):
        cook_toom(m, r)
