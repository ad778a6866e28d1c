"""The end of a net: sums over a map's pixels, their mean, and softmax.

``nincc.cuda_mlpconv`` ends with it where one tile is a whole map; else its tiles leave their sums to
``nincc.cuda_mean``, one block an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.cuda.emit import ThreadEmitter
from nincc.kernels.cuda.sharing import FEW, sum_parts
from nincc.kernels.cuda.stage import QUAD
from nincc.kernels.emit import Expr, View

tir, te = tvm.tir, tvm.te


@dataclass(frozen=True)
class Sums:
    """Column sums of a matrix of ``rows`` × ``quads`` quads, whose rows stand in no memory of ``work``'s."""

    em: ThreadEmitter
    rows: int
    quads: int
    load: Callable[[Expr, Expr], Expr]
    """``load(row, channel)``: a quad."""

    @property
    def parts(self) -> int:
        return sum_parts(self.rows, self.quads, self.em.threads)

    def run(self, work: View, finish: Callable[[Expr, Expr], None]) -> None:
        """``finish(channel, quad of sums)`` for every quad, in the block's first threads.

        ``work`` has room for ``parts`` rows.
        """
        em, parts = self.em, self.parts
        if parts == 1:
            em.share_out(1, self.quads, lambda _, quad: finish(quad * QUAD, self._sum(0, self.rows, 1, quad * QUAD)))
            return
        stride = self.quads * QUAD
        em.share_out(
            parts, self.quads,
            lambda row, quad: work.store(row * stride + quad * QUAD, self._sum(row, self.rows, parts, quad * QUAD)),
        )  # fmt: skip
        em.barrier()

        def collect(_: Expr, quad: Expr) -> None:
            total = work.load(quad * QUAD)
            for part in range(1, parts):
                total = total + work.load(part * stride + quad * QUAD)
            finish(quad * QUAD, total)

        em.share_out(1, self.quads, collect)

    def _sum(self, first: Expr, rows: int, step: int, channel: Expr) -> Expr:
        """Rows ``first``, ``first + step`` … below ``rows``."""
        em = self.em
        total = em.registers(1, "total")[0]
        total.store(0, em.zero())
        with em.loop(-(-rows // step), "i") as i:
            row = first + i * step
            with em.guard(row < rows, bool(rows % step)):
                total.store(0, total.load(0) + self.load(row, channel))
        return total.load(0)


@dataclass(frozen=True)
class Softmax:
    """Softmax of the ``units`` numbers in shared memory at ``values``; ``scratch`` has a float for each thread."""

    em: ThreadEmitter
    units: int
    values: View
    scratch: View

    def run(self, store: Callable[[Expr, Expr], None]) -> None:
        """``store(unit, probability)``.  All threads of the block call it; the values are overwritten."""
        em = self.em
        em.barrier()
        largest = em.scalars().let(self._reduce(lambda u: self.values[u], tir.max, -3.4e38), "largest")
        em.barrier()

        def power(unit: Expr) -> None:
            self.values[unit] = tir.exp(self.values[unit] - largest)

        self._each(power)  # a thread reads again what it wrote itself
        total = em.scalars().let(self._reduce(lambda u: self.values[u], lambda a, b: a + b, 0.0), "total")
        self._each(lambda unit: store(unit, self.values[unit] / total))

    def _each(self, work: Callable[[Expr], None]) -> None:
        self.em.share_out(1, self.units, lambda _, unit: work(unit))

    def _reduce(self, read: Callable[[Expr], Expr], combine: Callable[[Expr, Expr], Expr], neutral: float) -> Expr:
        """The combination of all values, in every thread."""
        em, one = self.em, self.em.scalars()
        if self.units <= FEW:
            total = read(0)
            for unit in range(1, self.units):
                total = combine(total, read(unit))
            return total
        mine = one.registers(1, "mine")[0]
        mine.store(0, tir.const(neutral, "float32"))
        self._each(lambda unit: mine.store(0, combine(mine.load(0), read(unit))))
        self.scratch[em.thread] = mine.load(0)
        width = 1 << (em.threads - 1).bit_length()
        while width > 1:
            width //= 2
            em.barrier()
            with em.when(tir.all(em.thread < width, em.thread + width < em.threads)):
                self.scratch[em.thread] = combine(self.scratch[em.thread], self.scratch[em.thread + width])
        em.barrier()
        return self.scratch[0]


def store_head(
    em: ThreadEmitter,
    sums: Sums,
    pixels: int,
    softmax: int,
    work: View,
    scratch: View,
    store: Callable[[Expr, Expr, int], None],
) -> None:
    """The mean of ``sums`` over ``pixels``, then softmax over ``softmax`` classes (0: none).

    ``store(channel, value, lanes)`` takes quads of means, or single probabilities.  ``work`` has room for the parts'
    sums, ``scratch`` for the means and then a float for each thread.
    """
    share = em.broadcast(1.0 / pixels)
    if not softmax:
        sums.run(work, lambda channel, total: store(channel, total * share, QUAD))
        return
    sums.run(work, lambda channel, total: scratch.store(channel, total * share))
    Softmax(em, softmax, scratch, scratch.at(sums.quads * QUAD)).run(lambda unit, value: store(unit, value, 1))


def scratch_floats(quads: int, threads: int) -> int:
    """Shared memory that :func:`store_head` wants as scratch for a softmax."""
    return quads * QUAD + threads


def mean(data: Any, attrs: Mapping[str, Any]) -> Any:
    """``nincc.cuda_mean``: sums [N, T, Np] of T tiles of a map of ``pixels`` pixels → [N, 1, 1, Np], or softmax [N,
    units].
    """
    batch, tiles, width = (int(v) for v in data.shape)
    matrix = _Matrix(batch, tiles, width, int(attrs["pixels"]), int(attrs["softmax"]), int(attrs["threads"]))
    return matrix.mean(data, mean_shape((batch, tiles, width), attrs), "nincc_cuda_mean")


def global_avg_pool(data: Any, attrs: Mapping[str, Any]) -> Any:
    """``nincc.global_avg_pool``: [N, H, W, Cp] → [N, 1, 1, Cp]."""
    batch, height, width, stride = (int(v) for v in data.shape)
    matrix = _Matrix(batch, height * width, stride, height * width, softmax=0, threads=MEAN_THREADS)
    return matrix.mean(data, (batch, 1, 1, stride), "nincc_cuda_global_avg_pool")


MEAN_THREADS = 256


@dataclass(frozen=True)
class _Matrix:
    """For each image, ``rows`` × ``width`` numbers whose column sums over ``pixels`` are wanted; a block takes an
    image.
    """

    batch: int
    rows: int
    width: int
    pixels: int
    softmax: int
    threads: int

    def mean(self, data: Any, shape: tuple[int, ...], name: str) -> Any:
        return te.extern(shape, [data], self._body, name=name, dtype="float32")

    def _body(self, inputs: Any, outputs: Any) -> Any:
        em, width = ThreadEmitter((self.batch, 1, 1), self.threads), self.width
        source, out, image = em.view(inputs[0]), em.view(outputs[0]), em.block[0]
        start = source.at(image * (self.rows * width))
        sums = Sums(em, self.rows, width // QUAD, lambda row, channel: start.load(row * width + channel))
        work = em.shared(sums.parts * width, "work")
        scratch = em.shared(scratch_floats(width // QUAD, self.threads), "scratch") if self.softmax else work

        def store(channel: Expr, value: Expr, lanes: int) -> None:
            if lanes == 1:
                out[image * self.softmax + channel] = value
            else:
                out.store(image * width + channel, value)

        store_head(em, sums, self.pixels, self.softmax, work, scratch, store)
        return em.ib.get()


def mean_shape(shape: tuple[int, ...], attrs: Mapping[str, Any]) -> tuple[int, ...]:
    """The output's shape."""
    softmax = int(attrs["softmax"])
    return (shape[0], softmax) if softmax else (shape[0], 1, 1, shape[2])
