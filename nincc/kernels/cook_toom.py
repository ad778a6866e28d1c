"""Cook–Toom matrices of the minimal filtering algorithms F(m, r), exact, in Fractions.

``y = Aᵀ[(G g) ∘ (Bᵀ d)]`` gives m outputs of an r-tap correlation from n = m + r - 1 inputs with
n multiplications (Winograd, *Arithmetic Complexity of Computations*, 1980; Lavin and Gray 2016).
In two dimensions ``Y = Aᵀ[(G g Gᵀ) ∘ (Bᵀ d B)]A``.

The points are pairs ±p, 0 where n is even, and infinity.  Pairs halve the transforms' work (see
:mod:`nincc.kernels.winograd_transform`).  The pairs were searched, over small fractions, for the least error
in float32: against the usual 0, ±1, ±2 they cut the error of F(4, 3) and of F(5, 3) by 3 and by 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from nincc.errors import InternalError

Matrix = tuple[tuple[Fraction, ...], ...]

_PAIRS = {
    2: "",
    3: "1",
    4: "1",
    5: "1/3 4/3",
    6: "3/4 4/3",
    7: "1/3 7/8 3/2",
    8: "1 2 1/2",
    9: "1/3 2/3 8/7 2",
    10: "1/2 4/5 8/7 2",
    11: "1/4 2/3 7/8 4/3 2",
    12: "1 1/3 4/5 4/3 3",
}
"""Interpolation points ±p for each tile size n."""

LARGEST_TILE = max(_PAIRS)


@dataclass(frozen=True)
class CookToom:
    """The three matrices of F(m, r): ``at`` is [m][n], ``g`` is [n][r], ``bt`` is [n][n]."""

    m: int
    r: int
    at: Matrix
    g: Matrix
    bt: Matrix

    @property
    def n(self) -> int:
        """Inputs of a tile along one axis."""
        return self.m + self.r - 1


@cache
def cook_toom(m: int, r: int) -> CookToom:
    """The matrices of F(m, r): m outputs of an r-tap correlation."""
    if m < 1 or r < 1 or m + r - 1 not in _PAIRS:
        raise InternalError(f"no Cook-Toom matrices for F({m}, {r})", hint=f"m + r is 3 to {LARGEST_TILE + 1}")
    points = finite_points(m + r - 1)
    return CookToom(m, r, _output_transform(points, m), _filter_transform(points, r), _input_transform(points))


def finite_points(n: int) -> tuple[Fraction, ...]:
    """The n - 1 finite interpolation points of tiles of n, each pair side by side; the n-th is infinity."""
    pairs = [Fraction(sign + text) for text in _PAIRS[n].split() for sign in ("", "-")]
    return (*([Fraction(0)] if n % 2 == 0 else []), *pairs)


def _output_transform(points: tuple[Fraction, ...], m: int) -> Matrix:
    """Aᵀ: row i evaluates xⁱ at every point; at infinity only the highest power is left."""
    return tuple((*(p**i for p in points), Fraction(int(i == m - 1))) for i in range(m))


def _filter_transform(points: tuple[Fraction, ...], r: int) -> Matrix:
    """G: row j evaluates the filter's polynomial at point j, over Lagrange's denominator."""
    rows = [tuple(p**i / _denominator(points, j) for i in range(r)) for j, p in enumerate(points)]
    return (*rows, tuple(Fraction(int(i == r - 1)) for i in range(r)))


def _denominator(points: tuple[Fraction, ...], j: int) -> Fraction:
    product = Fraction(1)
    for k, point in enumerate(points):
        if k != j:
            product *= points[j] - point
    return product


def _input_transform(points: tuple[Fraction, ...]) -> Matrix:
    """Bᵀ: row j holds the coefficients of ∏(x - pₖ) over k ≠ j; the last row those over every k."""
    rows = [(*_polynomial(tuple(p for k, p in enumerate(points) if k != j)), Fraction(0)) for j in range(len(points))]
    return (*rows, _polynomial(points))


def _polynomial(roots: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Coefficients, the constant first, of the monic polynomial with these roots."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [*(root * c for c in coefficients), Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return tuple(coefficients)
