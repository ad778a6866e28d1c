"""One tile of a GEMM by Strassen's algorithm in Winograd's form: 7 products of quarters instead of 8.

With A's rows and channels, B's channels and a pair of its panels (or one panel) cut in halves,

    S1 = A21 + A22   S2 = S1 - A11   S3 = A11 - A21   S4 = A12 - S2
    T1 = B12 - B11   T2 = B22 - T1   T3 = B22 - B12   T4 = T2 - B21
    U = A11·B11 + S2·T2              V = U + S3·T3    W = S1·T1
    C11 = A11·B11 + A12·B21          C12 = U + W + S4·B22
    C21 = V - A22·T4                 C22 = V + W

(S. Winograd 1971).  The T are the weights' and were taken at compile time; the S are taken once for all units.  A
quarter of C is one register tile: a sum goes from one product to the next in registers, and what two results need is
kept in L1.  (A second level, tried on NIN's layers, won 2 to 3 % where all fits and lost as much elsewhere.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nincc.kernels.chain_spec import ChainLayer, sum_stride
from nincc.kernels.emit import Emitter, Expr, View
from nincc.kernels.register_tile import Sums, accumulate, unroll_of_target

PRODUCTS = 7

Store = Callable[[int, int, Sums], None]
"""Takes the sums of one quarter of C: its place down and across."""


@dataclass(frozen=True)
class Matrix:
    """``rows`` rows, ``stride`` floats apart from ``start`` on, but for the last one where ``last`` tells its place."""

    rows: int
    start: View
    stride: int
    last: View | None = None

    @property
    def regular(self) -> int:
        """Rows at their regular places."""
        return self.rows - (self.last is not None)

    def row(self, i: Expr) -> View:
        """Where row ``i`` starts; an expression counts regular rows only."""
        if self.last is not None and isinstance(i, int) and i == self.rows - 1:
            return self.last
        return self.start.at(i * self.stride)

    def part(self, number: int, rows: int) -> Matrix:
        """The ``number``-th ``rows`` rows."""
        last = self.last if (number + 1) * rows == self.rows else None
        return Matrix(rows, self.start.at(number * rows * self.stride), self.stride, last)

    def columns(self, first: int) -> Matrix:
        """The matrix without its ``first`` columns."""
        last = None if self.last is None else self.last.at(first)
        return Matrix(self.rows, self.start.at(first), self.stride, last)


@dataclass(frozen=True)
class Quarters:
    """The A side of a tile of ``matrix.rows`` rows: its halves, and S1 … S4 from ``place`` on."""

    layer: ChainLayer
    matrix: Matrix
    place: View

    @property
    def rows(self) -> int:
        """Rows of a half."""
        return self.matrix.rows // 2

    def half(self, number: int) -> Matrix:
        """The upper or the lower rows."""
        return self.matrix.part(number, self.rows)

    def sum(self, number: int) -> Matrix:
        """S1 … S4."""
        stride = sum_stride(self.layer)
        return Matrix(self.rows, self.place.at((number - 1) * self.rows * stride), stride)

    @property
    def sides(self) -> tuple[Matrix, ...]:
        """The A sides of the seven products, in the order in which they are made."""
        top, bottom, first = self.half(0), self.half(1), self.layer.half
        return (
            top, top.columns(first), self.sum(2), self.sum(3), bottom.columns(first), self.sum(1), self.sum(4)
        )  # fmt: skip


def take_sums(em: Emitter, tile: Quarters) -> None:
    """S1 … S4 of a tile, row by row."""
    regular = tile.half(1).regular
    if regular:
        with em.loop(regular, "i") as i:
            _sums_of_row(em, tile, i)
    for i in range(regular, tile.rows):
        _sums_of_row(em, tile, i)


def _sums_of_row(em: Emitter, tile: Quarters, i: Expr) -> None:
    """Vectors first; then what fills no vector, and channels of the first half with none beside them."""
    first, second = tile.layer.half, tile.layer.depth - tile.layer.half
    sources = [tile.half(0).row(i), tile.half(1).row(i)]
    targets = [tile.sum(number).row(i) for number in (1, 2, 3, 4)]
    vectors, whole = second // em.lanes, -(-second // em.lanes) * em.lanes
    with em.loop(vectors, "c") as c:
        _sums_at(em, sources, targets, c * em.lanes, first)
    for c in range(vectors * em.lanes, whole):
        _sums_at(em.scalars(), sources, targets, c, first if c < second else None)
    for c in range(whole, first, em.lanes):
        _sums_at(em, sources, targets, c, None)


def _sums_at(em: Emitter, sources: list[View], targets: list[View], c: Expr, first: int | None) -> None:
    """All sums of one vector of channels; without ``first``, A12 and A22 are zero there, and S4 is not read."""
    top, bottom, s1, s2, s3, s4 = (em.view(view.buffer, view.offset) for view in (*sources, *targets))
    a11 = em.let(top.load(c), "a11")
    a21 = em.let(bottom.load(c), "a21")
    sum1 = a21 if first is None else em.let(a21 + bottom.load(first + c), "s1")
    sum2 = em.let(sum1 - a11, "s2")
    s1.store(c, sum1)
    s2.store(c, sum2)
    s3.store(c, a11 - a21)
    if first is not None:
        s4.store(c, top.load(first + c) - sum2)


def multiply(
    em: Emitter, a: Matrix, depth: int, weight: View, width: int, vectors: int, bias: View | None = None,
    into: Sums | None = None,
) -> Sums:  # fmt: skip
    """Σ_k a[·, k] · weight[k] for a register tile, on top of ``into`` or else of ``bias`` (of zero without).

    ``width``: floats from one row of ``weight`` to the next.
    """
    unroll = unroll_of_target()
    return accumulate(
        em, a.rows, vectors, 1, depth,
        lambda i, _, k: a.row(i)[k],
        lambda v, _, k: weight.load(k * width + v * em.lanes),
        initial=None if bias is None else lambda v: bias.load(v * em.lanes),
        unroll=unroll,
        load_run=lambda i, _, k: a.row(i).run(k, unroll),
        into=into,
    )  # fmt: skip


def strassen(
    em: Emitter, tile: Quarters, vectors: int, weight: View, bias: View, kept: View, store: Store,
    fetch: Callable[[int], None],
) -> None:  # fmt: skip
    """All of C for one pair with two sides of ``vectors``, whose weights and (coded) biases lie there.

    ``kept`` is room for two register tiles; ``fetch`` runs before each of the ``PRODUCTS`` products.
    """
    depths, sides, width = tile.layer.depths, tile.sides, vectors * em.lanes
    u_kept, v_kept = kept, kept.at(tile.rows * width)

    def add(number: int, into: Sums | None, start: View | None = None) -> Sums:
        fetch(number)
        operand = weight.at(sum(depths[:number]) * width)
        return multiply(em, sides[number], depths[number], operand, width, vectors, start, into)

    product = add(0, None, bias)
    _keep(em, product, u_kept)
    store(0, 0, add(1, product))
    u = add(2, _kept(em, product, u_kept))
    _keep(em, u, u_kept)
    v = add(3, u)
    _keep(em, v, v_kept)
    store(1, 0, add(4, v))
    w = add(5, None, bias.at(width))
    store(1, 1, _added(em, w, v_kept))
    store(0, 1, add(6, _added(em, w, u_kept)))


def _keep(em: Emitter, sums: Sums, place: View) -> None:
    for n, register in enumerate(register for row in sums for register in row):
        place.store(n * em.lanes, register.load(0))


def _kept(em: Emitter, like: Sums, place: View) -> Sums:
    sums = [em.registers(len(row), "acc") for row in like]
    for n, register in enumerate(register for row in sums for register in row):
        register.store(0, place.load(n * em.lanes))
    return sums


def _added(em: Emitter, sums: Sums, place: View) -> Sums:
    result = _kept(em, sums, place)
    for row, more in zip(result, sums, strict=True):
        for register, other in zip(row, more, strict=True):
            register.store(0, register.load(0) + other.load(0))
    return result
