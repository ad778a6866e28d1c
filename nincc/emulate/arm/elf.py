"""Just enough of ELF to run a shared library that nincc linked: segments, symbols, relocations.

Source: System V ABI, chapters 4 and 5.  Symbols and relocations are found by section headers, which lld keeps.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nincc.errors import UsageError

ARM, AARCH64 = 40, 183  # e_machine

_LOAD, _TLS = 1, 7
_SYMBOLS, _RELA, _REL, _DYNAMIC_SYMBOLS = 2, 4, 9, 11
_FUNCTION = 2


@dataclass(frozen=True)
class Segment:
    """Bytes ``offset`` … ``offset + file_bytes`` of the file, loaded at ``address`` and zeroed up to ``bytes``."""

    kind: int
    offset: int
    address: int
    file_bytes: int
    bytes: int


@dataclass(frozen=True)
class Section:
    kind: int
    offset: int
    bytes: int
    link: int
    entry_bytes: int


@dataclass(frozen=True)
class Symbol:
    """A name and what it stands for; ``defined`` is false for an import."""

    name: str
    address: int
    bytes: int
    is_function: bool
    defined: bool


@dataclass(frozen=True)
class Relocation:
    """Write at ``address`` what ``kind`` says of ``symbol`` and ``addend`` (None: what lies there already)."""

    address: int
    kind: int
    symbol: Symbol
    addend: int | None


class Elf:
    """A shared library, 32-bit or 64-bit, little-endian.  UsageError for any other file."""

    def __init__(self, path: Path) -> None:
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read: {error.strerror}", where=str(path), hint="compile it again") from error
        if len(self.data) < 52 or self.data[:4] != b"\x7fELF" or self.data[5] != 1:
            raise UsageError("is no ELF library", where=str(path), hint="compile it again")
        self.wide = self.data[4] == 2
        self.machine: int = struct.unpack_from("<H", self.data, 18)[0]

    @property
    def pointer(self) -> str:
        """The struct format of an address."""
        return "<Q" if self.wide else "<I"

    @cached_property
    def segments(self) -> list[Segment]:
        """The parts of the file that go into memory."""
        places = self._table(32, 54) if self.wide else self._table(28, 42)
        return [segment for segment in map(self._segment, places) if segment.kind == _LOAD]

    @cached_property
    def thread_local(self) -> Segment | None:
        """The first image of a thread's own variables."""
        places = self._table(32, 54) if self.wide else self._table(28, 42)
        return next((segment for segment in map(self._segment, places) if segment.kind == _TLS), None)

    @property
    def end(self) -> int:
        """The first address behind the library."""
        return max(segment.address + segment.bytes for segment in self.segments)

    def exports(self) -> dict[str, int]:
        """Addresses of the functions that the library offers, by name."""
        (section,) = self._sections_of(_DYNAMIC_SYMBOLS)
        return {symbol.name: symbol.address for symbol in self._symbols(section) if symbol.defined}

    def functions(self) -> list[Symbol]:
        """The functions of the full symbol table, by address; none in a stripped library."""
        symbols = [symbol for section in self._sections_of(_SYMBOLS) for symbol in self._symbols(section)]
        found = {symbol.address: symbol for symbol in symbols if symbol.is_function and symbol.defined}
        return [found[address] for address in sorted(found)]

    def relocations(self) -> Iterator[Relocation]:
        """What a loader must write once it knows where the library lies."""
        for section in self._sections_of(_RELA, _REL):
            symbols = self._symbols(self._sections[section.link]) if section.link else []
            for at in range(section.offset, section.offset + section.bytes, section.entry_bytes):
                yield self._relocation(at, section.kind == _RELA, symbols)

    def _table(self, start_at: int, sizes_at: int) -> range:
        """Where the entries of a table of headers begin."""
        (start,) = struct.unpack_from(self.pointer, self.data, start_at)
        size, count = struct.unpack_from("<HH", self.data, sizes_at)
        return range(start, start + size * count, size)

    def _segment(self, at: int) -> Segment:
        if self.wide:
            kind, _, offset, address, _, file_bytes, size = struct.unpack_from("<IIQQQQQ", self.data, at)
        else:
            kind, offset, address, _, file_bytes, size = struct.unpack_from("<IIIIII", self.data, at)
        return Segment(kind, offset, address, file_bytes, size)

    @cached_property
    def _sections(self) -> list[Section]:
        places = self._table(40, 58) if self.wide else self._table(32, 46)
        layout = "<IIQQQQIIQQ" if self.wide else "<IIIIIIIIII"
        rows = [struct.unpack_from(layout, self.data, place) for place in places]
        return [Section(row[1], row[4], row[5], row[6], row[9]) for row in rows]

    def _sections_of(self, *kinds: int) -> list[Section]:
        return [section for section in self._sections if section.kind in kinds]

    def _symbols(self, section: Section) -> list[Symbol]:
        names = self._sections[section.link].offset
        places = range(section.offset, section.offset + section.bytes, section.entry_bytes)
        return [self._symbol(at, names) for at in places]

    def _symbol(self, at: int, names: int) -> Symbol:
        if self.wide:
            name, info, _, where, address, size = struct.unpack_from("<IBBHQQ", self.data, at)
        else:
            name, address, size, info, _, where = struct.unpack_from("<IIIBBH", self.data, at)
        text = self.data[names + name : self.data.index(b"\0", names + name)].decode()
        return Symbol(text, address, size, info & 15 == _FUNCTION, where != 0)

    def _relocation(self, at: int, explicit: bool, symbols: list[Symbol]) -> Relocation:
        layout = ("<QQq" if explicit else "<QQ") if self.wide else ("<IIi" if explicit else "<II")
        address, info, *addend = struct.unpack_from(layout, self.data, at)
        number, kind = (info >> 32, info & 0xFFFFFFFF) if self.wide else (info >> 8, info & 0xFF)
        return Relocation(address, kind, symbols[number], addend[0] if addend else None)
