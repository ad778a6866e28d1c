"""A shared library in the memory of an emulated ARM core, its functions callable.

    0x0010_0000  one return instruction for each import: the host's own function runs in its place
    0x0020_0000  thread-local data
    0x0040_0000  the library
    0x3000_0000  the stack, growing down
    0x4000_0000  the heap

Nothing else is mapped, so that a read or write outside of these is an error and not luck.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from nincc.emulate.arm.cpu import EVERY_BLOCK, EVERY_INSTRUCTION, Cpu, Fault
from nincc.emulate.arm.elf import Elf, Relocation
from nincc.errors import DeviceError, VerificationError

IMPORTS, THREAD_AREA, BASE, STACK, HEAP = 0x100000, 0x200000, 0x400000, 0x30000000, 0x40000000
HEAP_LIMIT = 0xF0000000
_STACK_BYTES = 8 << 20
_RESOLVER_AT, _RETURN_AT = IMPORTS, IMPORTS + 16
_FIRST_IMPORT = IMPORTS + 32
_PAGE = 4096
_ALIGNMENT = 128

#: A host function: takes the machine, reads its arguments there, gives the integer result.
Import = Callable[["Machine"], int | None]

# What a relocation writes, by its number: the ELF supplements for ARM and AArch64.
_RELATIVE, _ADDRESS, _DESCRIPTOR, _MODULE, _MODULE_OFFSET = {23, 1027}, {2, 21, 22, 257, 1025, 1026}, {1031}, {17}, {18}


class Machine:
    """One library in one emulated core; ``heap_bytes`` is all it may allocate."""

    def __init__(self, library: Elf, cpu: Cpu, model: int, imports: dict[str, Import], heap_bytes: int) -> None:
        self.cpu = cpu
        self.engine = cpu.start(model, THREAD_AREA)
        self._library = library
        self._exports = library.exports()
        self._known = imports
        self._imported: list[str] = []
        self._heap_end = HEAP + round_up(heap_bytes, _PAGE)
        if self._heap_end > HEAP_LIMIT:
            raise DeviceError("the net is too large for the emulator's memory", hint="install qemu-user")
        self.heap_next = HEAP
        self.blocks: dict[tuple[int, int], int] = {}
        self._map()
        for relocation in library.relocations():
            self._relocate(relocation)

    def call(self, name: str, *arguments: int) -> int:
        """The result of the library's function ``name``; VerificationError where it crashes."""
        extra = arguments[len(self.cpu.arguments) :]
        stack = STACK - round_up(len(extra) * self.cpu.word, 16)
        for index, value in enumerate(extra):
            self.write_word(stack + index * self.cpu.word, value)
        for register, value in zip(self.cpu.arguments, arguments, strict=False):
            self.engine.reg_write(register, value)
        self.engine.reg_write(self.cpu.stack, stack)
        self.engine.reg_write(self.cpu.link, _RETURN_AT)
        try:
            self.engine.emu_start(BASE + self._exports[name], _RETURN_AT)
        except Fault as error:
            place = self.engine.reg_read(self.cpu.counter) - BASE
            raise VerificationError(f"the library crashed at {place:#x}: {error}") from error
        return int(self.engine.reg_read(self.cpu.arguments[0]))

    def count_blocks(self) -> None:
        """From now on, count in ``blocks`` how often each run of instructions (its address in the file, bytes) ran."""
        blocks, base = self.blocks, BASE

        def ran(engine: Any, address: int, size: int, _: Any) -> None:
            key = (address - base, size)
            blocks[key] = blocks.get(key, 0) + 1

        self.engine.ctl_flush_tb()  # what is translated already would not call the hook
        self.engine.hook_add(EVERY_BLOCK, ran, begin=BASE, end=BASE + self._library.end)

    def argument(self, index: int) -> int:
        """The integer argument of an import."""
        return int(self.engine.reg_read(self.cpu.arguments[index]))

    def allocate(self, size: int) -> int:
        """Fresh zeroed memory, 0 where there is none left."""
        address = self.heap_next
        if address + size > self._heap_end:
            return 0
        self.heap_next = round_up(address + size, _ALIGNMENT)
        return address

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.engine.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        self.engine.mem_write(address, data)

    def read_word(self, address: int) -> int:
        """A pointer or a size_t."""
        return int.from_bytes(self.read(address, self.cpu.word), "little")

    def write_word(self, address: int, value: int) -> None:
        self.write(address, (value & ((1 << 8 * self.cpu.word) - 1)).to_bytes(self.cpu.word, "little"))

    def text(self, address: int) -> str:
        """A C string."""
        data = b""
        while b"\0" not in data:
            data += self.read(address + len(data), 1)
        return data[:-1].decode(errors="replace")

    def _map(self) -> None:
        engine, library = self.engine, self._library
        for address, size in (
            (IMPORTS, 16 * _PAGE),
            (THREAD_AREA, round_up(self._thread_bytes() + _PAGE, _PAGE)),
            (BASE, round_up(library.end, _PAGE)),
            (STACK - _STACK_BYTES, _STACK_BYTES + _PAGE),
            (HEAP, self._heap_end - HEAP),
        ):
            engine.mem_map(address, size)
        for segment in library.segments:
            data = library.data[segment.offset : segment.offset + segment.file_bytes]
            engine.mem_write(BASE + segment.address, data)
        engine.mem_write(_RESOLVER_AT, self.cpu.resolver)
        engine.mem_write(_RETURN_AT, self.cpu.return_code)
        engine.hook_add(EVERY_INSTRUCTION, self._host_call, begin=_FIRST_IMPORT, end=IMPORTS + 16 * _PAGE)

    def _thread_bytes(self) -> int:
        segment = self._library.thread_local
        return segment.bytes if segment else 0

    def _relocate(self, relocation: Relocation) -> None:
        place, kind, addend = BASE + relocation.address, relocation.kind, relocation.addend
        start = self.read_word(place) if addend is None else addend
        if kind in _RELATIVE:
            self.write_word(place, BASE + start)
        elif kind in _ADDRESS:
            self.write_word(place, self._address_of(relocation))
        elif kind in _DESCRIPTOR:
            self.write_word(place, _RESOLVER_AT)
            self.write_word(place + self.cpu.word, relocation.symbol.address + start)
        elif kind in _MODULE:
            self.write_word(place, 1)
        elif kind in _MODULE_OFFSET:
            self.write_word(place, relocation.symbol.address + start)
        else:
            raise DeviceError(f"the emulator does not know relocation {kind}", hint="install qemu-user")

    def _address_of(self, relocation: Relocation) -> int:
        symbol = relocation.symbol
        if symbol.defined:
            return BASE + symbol.address + (relocation.addend or 0)
        if symbol.name not in self._imported:
            self._imported.append(symbol.name)
            at = _FIRST_IMPORT + 4 * (len(self._imported) - 1)
            self.engine.mem_write(at, self.cpu.return_code)
        return _FIRST_IMPORT + 4 * self._imported.index(symbol.name)

    def _host_call(self, engine: Any, address: int, size: int, _: Any) -> None:
        name = self._imported[(address - _FIRST_IMPORT) // 4]
        if name not in self._known:
            raise DeviceError(f"the library called {name}, which the emulator has not", hint="install qemu-user")
        result = self._known[name](self)
        if result is not None:
            engine.reg_write(self.cpu.arguments[0], result & ((1 << 8 * self.cpu.word) - 1))


def round_up(value: int, multiple: int) -> int:
    """``value`` rounded up to a multiple of ``multiple``."""
    return -(-value // multiple) * multiple


def unpack(layout: str, data: bytes) -> Any:
    """One little-endian value."""
    return struct.unpack("<" + layout, data)[0]
