"""A PTX module that can be launched: what stands in for a GPU and its driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from nincc.emulate.ptx.chunk import Chunk, Setting
from nincc.emulate.ptx.counts import Counts
from nincc.emulate.ptx.lanes import Extent, Shape
from nincc.emulate.ptx.memory import Memory, Storage
from nincc.emulate.ptx.observer import Observer
from nincc.emulate.ptx.ordering import RaceDetector
from nincc.emulate.ptx.parse import parse_module
from nincc.emulate.ptx.program import Code, prepare
from nincc.emulate.ptx.scalar import Array
from nincc.emulate.ptx.schedule import Schedule
from nincc.emulate.ptx.spaces import Layout, lay_out
from nincc.emulate.ptx.syntax import Address, Instruction, Operand, Symbol, Variable, Vector
from nincc.emulate.ptx.traffic import Traffic
from nincc.errors import InternalError
from nincc.gpu_target import THREADS_PER_BLOCK

LANES = 16384
"""Threads that run at once: enough to hide Python's time, few enough to stay in the caches."""
SHARED_BYTES = 1 << 26


class Module:
    """The kernels of ``ptx``.  InternalError for text or an instruction that the interpreter does not know."""

    def __init__(self, ptx: str) -> None:
        text = parse_module(ptx)
        self._variables = text.variables
        self._codes = {name: prepare(kernel) for name, kernel in text.kernels.items()}

    @property
    def kernels(self) -> list[str]:
        """The names of the kernels, as they stand in the text."""
        return list(self._codes)

    def launch(
        self,
        name: str,
        grid: Extent,
        block: Extent,
        shared_bytes: int,
        args: Sequence[int],
        memory: Memory,
        *,
        detect_races: bool = True,
        detect_uninitialised: bool = False,
        count: bool = True,
    ) -> Counts:
        """Runs the kernel ``name`` to its end and tells what it did; without ``count`` only the instructions.

        ``args`` are the parameters' values, a float's as its bits; ``shared_bytes`` is dynamic shared memory.
        Fresh memory holds no numbers: what is read before it is written shows as NaN, and with
        ``detect_uninitialised`` is a fault.  A launch that goes wrong raises a KernelFault.
        """
        code = self._checked(name, block, args)
        counts = Counts(name, 1, grid[0] * grid[1] * grid[2])
        counts.threads = counts.blocks * block[0] * block[1] * block[2]
        traffic = Traffic(counts) if count else None
        races = RaceDetector(code.granules) if detect_races else None
        observer = Observer(races, traffic, uninitialised=detect_uninitialised)
        for allocation in memory.allocations():
            allocation.observations.clear()
        with np.errstate(all="ignore"):
            self._run(self._setting(code, args, shared_bytes, memory, observer), code, grid, block, counts)
        if traffic is not None:
            traffic.finish()
        return counts

    def _checked(self, name: str, block: Extent, args: Sequence[int]) -> Code:
        if name not in self._codes:
            raise InternalError(f"the PTX has no kernel '{name}', but {', '.join(self._codes)}")
        expected = len(self._codes[name].kernel.parameters)
        if len(args) != expected:
            raise InternalError(f"kernel '{name}' takes {expected} arguments, {len(args)} are given")
        if not 0 < block[0] * block[1] * block[2] <= THREADS_PER_BLOCK:
            raise InternalError(f"kernel '{name}' cannot have blocks of {block} threads")
        return self._codes[name]

    def _setting(
        self, code: Code, args: Sequence[int], shared_bytes: int, memory: Memory, observer: Observer
    ) -> Setting:
        used = {name: self._variables[name] for name in _symbols(code) if name in self._variables}
        own = code.kernel.variables | used
        shared = lay_out((variable for variable in own.values() if variable.space == "shared"), shared_bytes)
        local = lay_out(variable for variable in own.values() if variable.space == "local")
        addresses = {
            name: self._address(variable, memory)
            for name, variable in used.items()
            if variable.space in ("global", "const")
        }
        parameters = Storage(sum(parameter.size + 16 for parameter in code.kernel.parameters))
        for parameter, value in zip(code.kernel.parameters, args, strict=True):
            addresses[parameter.name] = parameter.offset
            data = (value % (1 << (8 * parameter.size))).to_bytes(parameter.size, "little")
            parameters.data[parameter.offset : parameter.offset + parameter.size] = np.frombuffer(data, np.uint8)
        return Setting(code.kernel, memory, shared, local, parameters, addresses, observer)

    def _address(self, variable: Variable, memory: Memory) -> int:
        """A module variable's address; it gets its place and its first values when it is first used."""
        key = (id(self), variable.name)
        if key not in memory.variables:
            memory.variables[key] = memory.allocate(variable.size)
            memory.write(memory.variables[key], variable.initial or bytes(variable.size))
        return memory.variables[key]

    @staticmethod
    def _run(setting: Setting, code: Code, grid: Extent, block: Extent, counts: Counts) -> None:
        executed = np.zeros(len(code.blocks), np.int64)
        for shape in _chunks(setting.shared, grid, block):
            if setting.observer.races is not None:
                setting.observer.races.start_chunk(shape)
            schedule = Schedule(Chunk(setting, shape), code, executed)
            schedule.run()
            counts.longest_thread = max(counts.longest_thread, int(schedule.lengths.max()))
        counts.instructions = _totals(code, executed)


def _chunks(shared: Layout, grid: Extent, block: Extent) -> Iterator[Shape]:
    blocks = grid[0] * grid[1] * grid[2]
    threads = block[0] * block[1] * block[2]
    step = max(1, min(LANES // threads, SHARED_BYTES // max(shared.stride, 1)))
    for first in range(0, blocks, step):
        yield Shape(grid, block, first, min(step, blocks - first))


def _totals(code: Code, executed: Array) -> Counter[str]:
    total: Counter[str] = Counter()
    for block, lanes in zip(code.blocks, executed.tolist(), strict=True):
        total.update({kind: count * lanes for kind, count in block.classes.items()})
    return total


def _symbols(code: Code) -> set[str]:
    """The names of all variables that the kernel mentions."""

    def names(operand: Operand) -> Iterator[str]:
        if isinstance(operand, Symbol):
            yield operand.name
        elif isinstance(operand, Address):
            yield from names(operand.base)
        elif isinstance(operand, Vector):
            for item in operand.items:
                yield from names(item)

    def mentioned(instruction: Instruction) -> Iterator[str]:
        for operand in instruction.operands:
            yield from names(operand)

    return {name for instruction in code.kernel.instructions for name in mentioned(instruction)}
