"""The GPU kernels' pen: :class:`~nincc.kernels.emit.Emitter` for the code of one thread.

Vectors are quads of float32.  A thread's registers are buffers of scope "local" that only constant indices reach, so
that LLVM keeps them in registers; shared memory is one buffer an allocation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from nincc._tvm import tvm
from nincc.kernels.cuda.sharing import shares_evenly
from nincc.kernels.cuda.stage import QUAD
from nincc.kernels.emit import Emitter, Expr, View, div, mod

tir, te = tvm.tir, tvm.te

UNROLLED_ROUNDS = 4


class RegisterEmitter(Emitter):
    """An emitter whose temporaries are a thread's own."""

    def scalars(self) -> RegisterEmitter:
        return RegisterEmitter(1, self.ib)

    def _allocate(self, elements: int, name: str) -> View:
        self._count += 1
        allocated = self.ib.allocate("float32", elements, name=f"{name}{self._count}", scope="local")
        return View(self, allocated.asobject())

    def scalar(self, value: Expr, name: str = "i") -> Expr:
        if isinstance(value, (int, tir.IntImm)):
            return value
        self._count += 1
        slot = self.ib.allocate("int32", 1, name=f"{name}{self._count}", scope="local")
        slot[0] = value
        return slot[0]

    def place(self, value: Expr, name: str = "at") -> Expr:
        """Compute an offset here, once, that is a multiple of four floats by its form.

        It stays visible as one: otherwise the 16-byte accesses that start there fall apart into four.
        """
        if isinstance(value, (int, tir.IntImm)):
            return value
        quads = tvm.arith.Analyzer().simplify(tir.floordiv(value, QUAD))
        return self.scalar(quads, name) * QUAD


class ThreadEmitter(RegisterEmitter):
    """Builds the body of one kernel of ``grid`` blocks (x, y, z) of ``threads`` threads."""

    def __init__(self, grid: tuple[int, int, int], threads: int) -> None:
        super().__init__(QUAD)
        self.threads = threads
        self.block = [self._bind(f"blockIdx.{axis}", extent) for axis, extent in zip("xyz", grid, strict=True)]
        self.thread = self._bind("threadIdx.x", threads)

    def _bind(self, tag: str, extent: int) -> Expr:
        axis = te.thread_axis(tag)
        self.ib.scope_attr(axis, "thread_extent", extent)
        return axis.var if extent > 1 else 0

    def shared(self, elements: int, name: str) -> View:
        """Uninitialised memory of the block."""
        return View(self, self.ib.allocate("float32", elements, name=name, scope="shared").asobject())

    def barrier(self) -> None:
        """All threads of the block wait for each other; what they wrote to shared memory is seen by all."""
        self.ib.emit(tir.Evaluate(tir.Call("int32", "tir.tvm_storage_sync", [tir.StringImm("shared")])))

    @contextmanager
    def only(self, threads: int) -> Iterator[None]:
        """The first ``threads`` threads of the block do the body."""
        if threads >= self.threads:
            yield
            return
        with self.ib.if_scope(self.thread < threads):
            yield

    def share_out_idly(self, rows: int, quads: int, threads: int, work: Callable[[Expr, Expr], None]) -> None:
        """:meth:`share_out` with ``threads`` ≥ quads to a row, of which those beyond the quads stay idle."""

        def work_some(row: Expr, quad: Expr) -> None:
            with self.guard(quad < quads, threads > quads):
                work(row, quad)

        self.share_out(rows, threads, work_some)

    def share_out(self, rows: int, quads: int, work: Callable[[Expr, Expr], None]) -> None:
        """``work(row, quad)`` for rows × quads items, shared among the threads.

        A thread keeps its quad where that leaves few idle: neighbours do neighbouring quads of a row, and what
        depends on the quad alone is computed once.
        """
        if shares_evenly(rows, quads, self.threads):
            items = rows * quads
            self._rounds(items, self.threads, self.thread, lambda item: work(over(item, quads), rest(item, quads)))
            return
        if quads > self.threads:
            for first in range(0, quads, self.threads):
                quad = self.thread + first
                with self.guard(quad < quads, first + self.threads > quads):
                    self._rounds(rows, 1, 0, partial(_transposed, work, quad))
            return
        beside = min(self.threads // quads, rows)
        quad, start = self.scalar(mod(self.thread, quads), "quad"), self.scalar(div(self.thread, quads), "row")
        with self.only(beside * quads):
            self._rounds(rows, beside, start, lambda row: work(row, quad))

    def _rounds(self, rows: int, beside: int, start: Expr, work: Callable[[Expr], None]) -> None:
        rounds = -(-rows // beside)
        full = rows // beside
        if rounds <= UNROLLED_ROUNDS:
            for number in range(rounds):
                row = start + number * beside
                with self.guard(row < rows, number >= full):
                    work(row)
            return
        with self.loop(rounds, "round") as number:
            row = self.scalar(start + number * beside, "row")
            with self.guard(row < rows, full < rounds):
                work(row)

    @contextmanager
    def guard(self, condition: Expr, needed: bool = True) -> Iterator[None]:
        """The body runs if ``condition`` holds; where that is known, nothing is tested."""
        if not needed:
            yield
            return
        with self.ib.if_scope(condition):
            yield

    def maximum(self, a: Expr, b: Expr) -> Expr:
        """The larger of two quads, by ``max.f32`` (TVM's own is a comparison and a selection)."""
        return _quads("llvm.maxnum.v4f32", a, b)

    def minimum(self, a: Expr, b: Expr) -> Expr:
        """The smaller of two quads."""
        return _quads("llvm.minnum.v4f32", a, b)

    def activate(self, value: Expr, activation: str) -> Expr:
        if activation == "none":
            return value
        positive = self.maximum(value, self.broadcast(0.0))
        return self.minimum(positive, self.broadcast(6.0)) if activation == "relu6" else positive

    def zero(self) -> Expr:
        """A quad of zeros."""
        return self.broadcast(0.0)

    @contextmanager
    def count(self, extent: int, name: str) -> Iterator[Expr]:
        """0 … extent - 1 in turn; no loop for one."""
        if extent == 1:
            yield 0
            return
        with self.loop(extent, name) as index:
            yield index


def _transposed(work: Callable[[Expr, Expr], None], quad: Expr, row: Expr) -> None:
    work(row, quad)


def _quads(name: str, a: Expr, b: Expr) -> Expr:
    return tir.call_llvm_pure_intrin(f"float32x{QUAD}", name, tir.const(2, "uint32"), a, b)


def over(value: Expr, by: int) -> Expr:
    """``value // by``, not negative; computed here where it can be."""
    if by == 1:
        return value
    return value // by if isinstance(value, int) else div(value, by)


def rest(value: Expr, by: int) -> Expr:
    """``value % by``, not negative; computed here where it can be."""
    if by == 1:
        return 0
    return value % by if isinstance(value, int) else mod(value, by)
