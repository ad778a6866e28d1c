"""Winograd's transforms as vector code: ``Bᵀ d B`` on the way in, ``Aᵀ m A`` on the way out.

A vector holds ``lanes`` channels; a tile is transformed by columns, through the stack, then by rows.  Points come
in pairs ±p, so that two rows of Bᵀ (two columns of Aᵀ) differ in signs alone: their even and odd parts are
computed once and added and subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from nincc.kernels.cook_toom import Matrix
from nincc.kernels.emit import Emitter, Expr

Row = Sequence[Fraction]


def transform_tile(
    em: Emitter, matrix: Matrix, load: Callable[[int, int], Expr], store: Callable[[int, int, Expr], None]
) -> None:
    """``store(i, j, Y[i][j])`` of ``Y = matrix · X · matrixᵀ`` with ``X[i][j] = load(i, j)``, all vectors."""
    rows, size = len(matrix), len(matrix[0])
    columns = [em.stack(size * em.lanes, "column") for _ in range(rows)]
    for j in range(size):
        for i, value in enumerate(linear_map(em, matrix, [em.let(load(i, j)) for i in range(size)])):
            columns[i].store(j * em.lanes, value)
    transform_rows(em, matrix, lambda i, j: columns[i].load(j * em.lanes), store)


def transform_rows(
    em: Emitter, matrix: Matrix, load: Callable[[int, int], Expr], store: Callable[[int, int, Expr], None]
) -> None:
    """The rows' half of it: ``store(i, j, Y[i][j])`` of ``Y = X · matrixᵀ``, with as many rows as ``matrix`` has."""
    for i in range(len(matrix)):
        row = [em.let(load(i, j)) for j in range(len(matrix[0]))]
        for j, value in enumerate(linear_map(em, matrix, row)):
            store(i, j, value)


def linear_map(em: Emitter, matrix: Matrix, x: Sequence[Expr]) -> list[Expr]:
    """``matrix · x`` for vectors x, in as few operations as paired rows or columns allow."""
    pairs = column_pairs(matrix)
    if pairs:
        return _by_columns(em, matrix, x, pairs)
    return _by_rows(em, matrix, x)


def column_pairs(matrix: Matrix) -> list[tuple[int, int]]:
    """Columns (i, j) equal up to signs, some entries with the same sign and some not: Aᵀ's at points ±p."""
    columns = list(zip(*matrix, strict=True))
    pairs: list[tuple[int, int]] = []
    for i, left in enumerate(columns):
        for j in range(i + 1, len(columns)):
            free = not any({i, j} & set(pair) for pair in pairs)
            even, odd = _halves(left, columns[j])
            if free and any(even) and any(odd) and _disjoint(even, odd):
                pairs.append((i, j))
    return pairs


def _by_columns(em: Emitter, matrix: Matrix, x: Sequence[Expr], pairs: list[tuple[int, int]]) -> list[Expr]:
    """Pairs (x_i, x_j) become their sum and difference, which half of the rows need each."""
    paired = {index for pair in pairs for index in pair}
    values = [x[i] for i in range(len(x)) if i not in paired]
    columns = [[row[i] for row in matrix] for i in range(len(x)) if i not in paired]
    for i, j in pairs:
        even, odd = zip(*(_half(row[i], row[j]) for row in matrix), strict=True)
        values += [em.let(x[i] + x[j]), em.let(x[i] - x[j])]
        columns += [list(even), list(odd)]
    return [_combine(em, row, values) for row in zip(*columns, strict=True)]


def _by_rows(em: Emitter, matrix: Matrix, x: Sequence[Expr]) -> list[Expr]:
    """Rows at ±p are even + odd and even - odd parts."""
    result: dict[int, Expr] = {}
    for i, row in enumerate(matrix):
        if i in result:
            continue
        for j in range(i + 1, len(matrix)):
            even, odd = _halves(row, matrix[j])
            if j not in result and any(even) and any(odd) and _disjoint(even, odd):
                result[i], result[j] = _sum_and_difference(em, even, odd, x)
                break
        else:
            result[i] = _combine(em, row, x)
    return [result[i] for i in range(len(matrix))]


def _sum_and_difference(em: Emitter, even: Row, odd: Row, x: Sequence[Expr]) -> tuple[Expr, Expr]:
    """even·x ± odd·x; the odd part is computed with a last coefficient of 1, its scale joins the addition."""
    scale = next(c for c in reversed(odd) if c)
    e = _combine(em, even, x)
    o = _combine(em, [c / scale for c in odd], x)
    if scale == 1:
        return em.let(e + o), em.let(e - o)
    scaled = o * em.broadcast(float(scale))
    return em.let(e + scaled), em.let(e - scaled)


def _combine(em: Emitter, coefficients: Row, x: Sequence[Expr]) -> Expr:
    """Σ cᵢ·xᵢ; unit coefficients are additions, others multiply-adds onto them."""
    terms = [(c, value) for c, value in zip(coefficients, x, strict=True) if c != 0]
    terms.sort(key=lambda term: (term[0] != 1, term[0] != -1))
    first, value = terms[0]
    total = value if first == 1 else value * em.broadcast(float(first))
    for c, value in terms[1:]:
        if c == 1:
            total = total + value
        elif c == -1:
            total = total - value
        else:
            total = total + value * em.broadcast(float(c))
    return em.let(total)


def _halves(left: Row, right: Row) -> tuple[list[Fraction], list[Fraction]]:
    halves = [_half(a, b) for a, b in zip(left, right, strict=True)]
    return [even for even, _ in halves], [odd for _, odd in halves]


def _half(a: Fraction, b: Fraction) -> tuple[Fraction, Fraction]:
    return (a + b) / 2, (a - b) / 2


def _disjoint(even: Row, odd: Row) -> bool:
    return all(a == 0 or b == 0 for a, b in zip(even, odd, strict=True))
