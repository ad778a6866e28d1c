"""The kernels' pen: a thin layer over TVM's ``ir_builder`` for vector code on flat float32 buffers.

Register temporaries are stack buffers of one vector each, which LLVM's SROA turns into registers.  A vector
``ib.let`` would be the obvious way, but its debug info fails LLVM 22's verifier.  Scope "global" below
1,024 bytes stays on the stack; scope "local" and anything larger becomes workspace.  Integers take the same way,
which keeps them opaque to TVM's range analysis: it fails on loop bounds that it can half simplify.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.machine import address_type, register_lanes
from nincc.kernels.spec import CACHE_LINE, round_up

tir = tvm.tir
Expr = Any  # a tir.PrimExpr or a Python number

STACK_BYTES = 1024  # TVM keeps smaller allocations on the stack
TO_L2 = 2
"""LLVM's locality of a prefetch that stops at L2.  One to L1 holds a fill buffer until memory answers, and those are
what limits a stream of weights from memory: nin-imagenet's conv4 takes 1.45 ms so, and 1.11 ms with this."""
TASKS_APART = 8 * CACHE_LINE
"""Floats between two tasks' scratch memory: prefetchers run a few lines ahead of what is read and written."""


class View:
    """A buffer of float32 seen as a flat run of elements from ``offset`` on, whatever its shape."""

    def __init__(self, emitter: Emitter, buffer: Any, offset: Expr = 0, zeros: list[Expr] | None = None) -> None:
        """``zeros``: indices of all dimensions but the last, where they are known."""
        self.emitter = emitter
        self.buffer = buffer
        self.offset = offset
        self._zeros = [_constant(0)] * (len(buffer.shape) - 1) if zeros is None else zeros

    def at(self, offset: Expr) -> View:
        """The same buffer from ``offset`` elements further on."""
        return View(self.emitter, self.buffer, self.offset + offset, self._zeros)

    def seen_by(self, emitter: Emitter) -> View:
        """The same place for an emitter of another vector width."""
        return View(emitter, self.buffer, self.offset, self._zeros)

    def __getitem__(self, index: Expr) -> Expr:
        return tir.BufferLoad(self.buffer, self._indices(index))

    def __setitem__(self, index: Expr, value: Expr) -> None:
        self.emitter.ib.emit(tir.BufferStore(self.buffer, _float(value), self._indices(index)))

    def load(self, index: Expr) -> Expr:
        """The vector of elements ``index`` … ``index + lanes - 1``."""
        return tir.BufferLoad(self.buffer, self._ramp(index))

    def run(self, index: Expr, count: int) -> Expr:
        """The ``count`` elements from ``index`` on as one vector."""
        return tir.BufferLoad(self.buffer, self._ramp(index, count))

    def store(self, index: Expr, value: Expr) -> None:
        """Write a vector to elements ``index`` … ``index + lanes - 1``."""
        self.emitter.ib.emit(tir.BufferStore(self.buffer, value, self._ramp(index)))

    def _indices(self, index: Expr) -> list[Expr]:
        # Flattening is row-major: an index past the last dimension's extent simply counts on.
        return [*self._zeros, _int(self.offset + index)]

    def _ramp(self, index: Expr, lanes: int = 0) -> list[Expr]:
        """Indices of ``lanes`` neighbours (of a vector: 0)."""
        first, lanes = self.offset + index, lanes or self.emitter.lanes
        if lanes == 1:
            return [*self._zeros, _int(first)]
        if isinstance(first, int):
            return [*self._zeros, _constant_ramp(first, lanes)]
        return [*self._zeros, tir.Ramp(first, tir.const(1, first.dtype), lanes)]


class Emitter:
    """Builds the body of one kernel; ``lanes`` are the float32 lanes of a vector."""

    def __init__(self, lanes: int, builder: Any = None) -> None:
        self.ib = builder or tir.ir_builder.create()
        self.lanes = lanes
        self._count = 0

    def of(self, lanes: int) -> Emitter:
        """An emitter into the same kernel whose vectors have ``lanes`` floats."""
        return Emitter(lanes, self.ib)

    def scalars(self) -> Emitter:
        """An emitter into the same kernel whose "vectors" are single floats."""
        return self.of(1)

    def narrow(self) -> Emitter:
        """An emitter into the same kernel whose vectors are single registers, for code that has many values at once."""
        return self.of(register_lanes(self.lanes))

    def view(self, buffer: Any, offset: Expr = 0) -> View:
        """A tensor argument of the kernel (or another emitter's buffer) as a flat buffer."""
        return View(self, buffer, offset)

    def stack(self, elements: int, name: str = "stack") -> View:
        """Uninitialised float32 elements on the stack (below 1 KiB), allocated where this is called."""
        assert elements * 4 < STACK_BYTES, f"{elements} floats do not stay on the stack"
        return self._allocate(elements, name)

    def registers(self, count: int, name: str = "reg") -> list[View]:
        """``count`` uninitialised vectors that live in registers as long as their indices are constant."""
        return [self._allocate(self.lanes, name) for _ in range(count)]

    def scratch(self, elements: int, name: str = "scratch") -> View:
        """Workspace memory.  Call it outside of parallel loops, for all tasks at once."""
        return self._allocate(max(elements, STACK_BYTES // 4), name)

    def task_scratch(self, tasks: int, sizes: Sequence[int], name: str = "own") -> Callable[[Expr], list[View]]:
        """Workspace memory for each of ``tasks``: gives a task's views of ``sizes`` elements, one behind the other.

        What one task writes lies together, and apart from the next one's, whose lines a prefetcher would take away.
        """
        places = [0, *accumulate(round_up(size, CACHE_LINE) for size in sizes)]
        stride = places[-1] + TASKS_APART
        whole = self.scratch(tasks * stride, name)

        def of_task(task: Expr) -> list[View]:
            own = whole.at(self.offset(task * stride, name))
            return [own.at(place) for place in places[:-1]]

        return of_task

    def _allocate(self, elements: int, name: str) -> View:
        self._count += 1
        allocated = self.ib.allocate("float32", elements, name=f"{name}{self._count}", scope="global")
        return View(self, allocated.asobject())

    def let(self, value: Expr, name: str = "v") -> Expr:
        """Compute a vector here, once, and return the expression that reads it back from its register."""
        lanes = tvm.DataType(value.dtype).lanes
        emitter = self if lanes == self.lanes else self.of(lanes)  # self counts on, which keeps names apart
        register = emitter._allocate(lanes, name)
        register.store(0, value)
        return register.load(0)

    def scalar(self, value: Expr, name: str = "i") -> Expr:
        """Compute an integer here, once."""
        if isinstance(value, (int, tir.IntImm)):
            return value
        self._count += 1
        slot = self.ib.allocate("int32", 1, name=f"{name}{self._count}", scope="global")
        slot[0] = value
        return slot[0]

    def offset(self, value: Expr, name: str = "at") -> Expr:
        """Compute an element offset here, once, as wide as an address.

        Within a task LLVM cannot tell that 32-bit sums do not overflow, and would extend the sign at every use.
        """
        if isinstance(value, (int, tir.IntImm)):
            return value
        self._count += 1
        slot = self.ib.allocate(address_type(), 1, name=f"{name}{self._count}", scope="global")
        slot[0] = tir.Cast(address_type(), value)
        return slot[0]

    def broadcast(self, value: Expr) -> Expr:
        """A vector with ``value`` in every lane."""
        return tir.Broadcast(_float(value), self.lanes) if self.lanes > 1 else _float(value)

    def loop(self, extent: Expr, name: str = "i") -> Any:
        """``with em.loop(n) as i``: i = 0 … n - 1."""
        return self.ib.for_range(0, extent, name=name)

    @contextmanager
    def span(self, begin: Expr, end: Expr, name: str = "i") -> Iterator[Expr]:
        """``with em.span(a, b) as i``: i = a … b - 1 (TVM's code generator wants loops to start at 0)."""
        with self.ib.for_range(0, end - begin, name=name) as index:
            yield begin + index

    def when(self, condition: Expr) -> Any:
        """``with em.when(condition)``: the body runs if it holds."""
        return self.ib.if_scope(condition)

    def otherwise(self) -> Any:
        """The else branch of the ``when`` right before it."""
        return self.ib.else_scope()

    @contextmanager
    def tasks(self, total: int, tasks: int) -> Iterator[tuple[Expr, Expr, Expr]]:
        """Share ``total`` units among parallel tasks: yields (task, first unit, end); serial for one task.

        Every task gets total / tasks units, rounded up or down, so the split is as even as it can be.
        """
        tasks = min(tasks, total)
        if tasks <= 1:
            with self._aligned_stack():
                yield 0, 0, total
            return
        with self.ib.for_range(0, tasks, name="task", kind="parallel") as task, self._aligned_stack():
            begin = self.scalar(div(task * total, tasks), "begin")
            end = self.scalar(div((task + 1) * total, tasks), "end")
            yield task, begin, end

    @contextmanager
    def _aligned_stack(self) -> Iterator[None]:
        """Have LLVM align this function's stack frame to whole vectors.

        It does so for a vector that must lie in memory, but not for registers that it spills: those would straddle
        cache lines (Winograd's input transform takes a fifth longer so).  The prefetches keep a vector in memory,
        and TVM from giving its place to another value.
        """
        vector = self.registers(1, "aligned")[0]
        address = tir.call_intrin("handle", "tir.address_of", vector.load(0))
        touch = tir.Evaluate(tir.call_intrin("int32", "tir.prefetch", address, 0, 3, 1))
        self.ib.emit(touch)
        yield
        self.ib.emit(touch)

    def prefetch(self, view: View, index: Expr) -> None:
        """Ask for the cache line of an element in L2; an address past the buffer's end does no harm."""
        self.prefetch_of(view[index])

    def prefetch_of(self, load: Expr) -> None:
        """The same for the place that ``load`` would read."""
        address = tir.call_intrin("handle", "tir.address_of", load)
        self.ib.emit(tir.Evaluate(tir.call_intrin("int32", "tir.prefetch", address, 0, TO_L2, 1)))

    def fill(self, target: View, count: int, value: float = 0.0) -> None:
        """Set ``count`` elements from the view's start on, and none beyond."""
        self.runs(count, lambda i: target.store(i, self.broadcast(value)), lambda i: target.__setitem__(i, value))

    def copy(self, target: View, source: View, count: int) -> None:
        """Copy ``count`` elements between the starts of two views, and touch none beyond."""
        self.runs(
            count,
            lambda i: target.store(i, source.load(i)),
            lambda i: target.__setitem__(i, source[i]),
        )

    def runs(self, count: int, vector: Callable[[Expr], None], scalar: Callable[[Expr], None]) -> None:
        """Cover ``count`` elements by vectors; the last one overlaps its neighbour rather than overrun."""
        if count < self.lanes:
            for i in range(count):
                scalar(i)
            return
        whole = count // self.lanes
        if whole <= 4:
            for i in range(whole):
                vector(i * self.lanes)
        else:
            with self.loop(whole, "v") as i:
                vector(i * self.lanes)
        if count % self.lanes:
            vector(count - self.lanes)

    def activate(self, value: Expr, activation: str) -> Expr:
        """``activation`` ("none", "relu" or "relu6") of a vector."""
        if activation == "none":
            return value
        positive = tir.max(value, self.broadcast(0.0))
        return tir.min(positive, self.broadcast(6.0)) if activation == "relu6" else positive


def div(value: Expr, by: int) -> Expr:
    """``value // by`` for a value that is not negative.

    Not ``tir.floordiv``: where TVM 0.19 cannot prove the sign (a value from :meth:`Emitter.scalar`), its lowering
    gives wrong numbers.
    """
    return tir.truncdiv(_int(value), _int(by))


def mod(value: Expr, by: int) -> Expr:
    """``value % by`` for a value that is not negative."""
    return tir.truncmod(_int(value), _int(by))


def _int(value: Expr) -> Expr:
    return _constant(value) if isinstance(value, int) else value


@cache  # making a node takes Python longer than anything else here
def _constant(value: int) -> Expr:
    return tir.IntImm("int32", value)


@cache
def _constant_ramp(first: int, lanes: int) -> Expr:
    return tir.Ramp(_constant(first), _constant(1), lanes)


def _float(value: Expr) -> Expr:
    return tir.const(float(value), "float32") if isinstance(value, (int, float)) else value
