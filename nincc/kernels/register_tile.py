"""The register tile: the innermost loop of every GEMM, convolution and Winograd product."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nincc._tvm import tvm
from nincc.kernels.emit import Emitter, Expr, View
from nincc.kernels.machine import architecture

tir = tvm.tir

FMAS_IN_FLIGHT = 8
"""Sums that must be independent for FMAs not to wait for each other: latency times FMAs a cycle."""

NEON_REGISTERS, NEON_LANES = 32, 4  # of 64-bit ARM

Sums = list[list[View]]
"""Accumulators: ``sums[row][vector]``."""


def accumulate(
    em: Emitter,
    rows: int,
    vectors: int,
    taps: int,
    depth: int,
    load_a: Callable[[int, Expr, Expr], Expr],
    load_b: Callable[[int, Expr, Expr], Expr],
    initial: Callable[[int], Expr] | None = None,
    unroll: int = 4,
    prefetch: Callable[[Expr], None] | None = None,
    load_run: Callable[[int, Expr, Expr], Expr] | None = None,
    into: Sums | None = None,
    inside: tuple[Expr, Expr] | None = None,
) -> Sums:
    """``sums[row][v] = initial(v) + Σ_tap Σ_k A(row, tap, k) · B(v, tap, k)``, k = 0 … depth - 1.

    ``load_a`` gives a scalar, ``load_b`` a vector; the sums stay in registers.  k goes in groups of ``unroll``, its
    remainder follows.  ``prefetch`` runs once for each group (told how many ran before).  ``load_run(row, tap, k)``,
    if A's k are neighbours in memory, gives the vector of ``unroll`` of them.  With ``into``, sums of before,
    the products are added to those.  Returns the sums for the caller's epilogue.
    """
    chains = max(1, min(unroll, -(-FMAS_IN_FLIGHT // (rows * vectors)), depth // (2 * unroll)))
    by_element = load_run is not None and fma_by_element(em, rows * chains, rows, vectors)
    groups = 2 if by_element else 1
    whole = depth // unroll
    product_first = initial is None and into is None and taps == 1 and not whole
    parts = _start(em, chains, rows, vectors, initial, product_first)
    if into is not None:
        parts = [into, *parts[1:]]

    def multiply(row: list[View], v: int, a: Expr, b: Expr, is_first: bool) -> None:
        row[v].store(0, a * b if is_first else row[v].load(0) + a * b)

    def step(tap: Expr, k: Expr, sums: Sums, column: Callable[[int], Expr], is_first: bool = False) -> None:
        if by_element:  # vector by vector: then two of B's registers are in use at a time, not all
            for v in range(vectors):
                b = em.let(load_b(v, tap, k), "b")
                for i, row in enumerate(sums):
                    multiply(row, v, em.broadcast(column(i)), b, is_first)
            return
        bs = [em.let(load_b(v, tap, k), "b") for v in range(vectors)]
        for i, row in enumerate(sums):
            a = em.let(em.broadcast(column(i)), "a")
            for v in range(vectors):
                multiply(row, v, a, bs[v], is_first)

    def columns(tap: Expr, first: Expr, count: int) -> list[Callable[[int], Expr]]:
        """A's columns first … first + count - 1, each as a function of the row."""
        if load_run is None or not by_element or count < unroll:
            return [partial(lambda u, i: load_a(i, tap, first + u), u) for u in range(count)]
        runs = [em.let(load_run(i, tap, first), "run") for i in range(rows)]
        return [partial(lambda u, i: tir.Shuffle([runs[i]], [u]), u) for u in range(count)]

    def group(tap: Expr, number: Expr) -> None:
        if prefetch is not None:
            prefetch(tap * whole + number)
        elif by_element:
            # A prefetch between groups keeps LLVM from loading several groups' A at once, and spilling.
            em.prefetch_of(load_b(0, tap, (number + 1) * unroll))
        for u, column in enumerate(columns(tap, number * unroll, unroll)):
            step(tap, number * unroll + u, parts[u % chains], column)

    def run(tap: Expr) -> None:
        with em.loop(whole // groups, "k") as turn:
            for place in range(groups):
                group(tap, turn * groups + place)
        for number in range(whole // groups * groups, whole):
            group(tap, number)
        for u, column in enumerate(columns(tap, whole * unroll, depth % unroll)):
            step(tap, whole * unroll + u, parts[u % chains], column, product_first and u == 0)

    if taps == 1:
        run(0)
    else:
        begin, end = inside or (0, taps)
        with em.span(begin, end, "tap") as tap:
            run(tap)
    return _joined(parts)


def unroll_of_target() -> int:
    """How many k a group of :func:`accumulate` has: four, which 32-bit ARM would spill registers for."""
    return 2 if architecture().startswith("arm") else 4


def fma_by_element(em: Emitter, sums: int, rows: int, vectors: int) -> bool:
    """Whether to load A's rows as vectors: 64-bit ARM multiplies by one element of a vector register.

    That takes one load for four products instead of four, and a register for each row beside those of ``sums`` rows
    of sums and two of B.
    """
    needed = sums * vectors * em.lanes // NEON_LANES + rows + 2
    return architecture() == "aarch64" and needed <= NEON_REGISTERS


def _start(
    em: Emitter, chains: int, rows: int, vectors: int, initial: Callable[[int], Expr] | None, later: bool
) -> list[Sums]:
    """``chains`` partial sums a place: the first starts at ``initial``, the others at zero; none yet if ``later``."""
    parts = [[em.registers(vectors, "acc") for _ in range(rows)] for _ in range(chains)]
    if later:
        return parts
    first = [em.let(initial(v) if initial else em.broadcast(0.0), "init") for v in range(vectors)]
    for chain, sums in enumerate(parts):
        for row in sums:
            for v, register in enumerate(row):
                register.store(0, em.broadcast(0.0) if chain else first[v])
    return parts


def _joined(parts: list[Sums]) -> Sums:
    for sums in parts[1:]:
        for row, more in zip(parts[0], sums, strict=True):
            for register, other in zip(row, more, strict=True):
                register.store(0, register.load(0) + other.load(0))
    return parts[0]
