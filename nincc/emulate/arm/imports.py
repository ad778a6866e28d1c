"""The C library's functions that a net calls, done by the host for the emulated core."""

from __future__ import annotations

import ctypes
import ctypes.util
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from nincc.emulate.arm.machine import THREAD_AREA, Import, Machine, unpack

_BINARY = ("atan2", "copysign", "fmax", "fmin", "fmod", "hypot", "pow")
_UNARY = """
    acos acosh asin asinh atan atanh cbrt ceil cos cosh erf erfc exp exp2 expm1 fabs floor lgamma log log10 log1p
    log2 nearbyint rint round sin sinh sqrt tan tanh tgamma trunc
"""
_AT_HWCAP = 16


def imports(hwcap: int) -> dict[str, Import]:
    """Every function by its C name; ``hwcap`` is what the core says of itself."""
    functions: dict[str, Import] = {
        "memcpy": _copy,
        "memmove": _copy,
        "memset": lambda m: _fill(m, m.argument(1), m.argument(2)),
        "malloc": lambda m: m.allocate(m.argument(0)),
        "calloc": lambda m: m.allocate(m.argument(0) * m.argument(1)),
        "free": lambda m: None,
        "madvise": lambda m: 0,
        "pthread_mutex_lock": lambda m: 0,  # there is but one thread
        "pthread_mutex_unlock": lambda m: 0,
        "getpid": lambda m: 1,
        "getauxval": lambda m: hwcap if m.argument(0) == _AT_HWCAP else 0,
        "vsnprintf": _print,
        "__tls_get_addr": lambda m: THREAD_AREA + m.read_word(m.argument(0) + m.cpu.word),
    }
    for width in ("", "4", "8"):  # 32-bit ARM's own names: the byte comes last
        functions |= {
            f"__aeabi_memcpy{width}": _copy,
            f"__aeabi_memmove{width}": _copy,
            f"__aeabi_memset{width}": lambda m: _fill(m, m.argument(2), m.argument(1)),
            f"__aeabi_memclr{width}": lambda m: _fill(m, 0, m.argument(1)),
        }
    return functions | _libm()


def _copy(machine: Machine) -> int:
    target, source, size = (machine.argument(index) for index in range(3))
    machine.write(target, machine.read(source, size))
    return target


def _fill(machine: Machine, value: int, size: int) -> int:
    target = machine.argument(0)
    machine.write(target, bytes([value & 0xFF]) * size)
    return target


def _libm() -> dict[str, Import]:
    """The host's own mathematical functions, in float and in double."""
    library = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")
    functions: dict[str, Import] = {}
    for count, names in ((1, _UNARY.split()), (2, _BINARY), (3, ("fma",))):
        for name in names:
            for suffix, kind, layout in (("f", ctypes.c_float, "f"), ("", ctypes.c_double, "d")):
                function = getattr(library, name + suffix)
                function.argtypes, function.restype = [kind] * count, kind
                functions[name + suffix] = partial(_call_float, function, count, layout)
    return functions


def _call_float(function: Callable[..., float], count: int, layout: str, machine: Machine) -> None:
    """Arguments and result in the floating-point registers; two floats share a double's register on 32-bit ARM."""
    size = struct.calcsize(layout)
    shared = machine.cpu.word == 4 and layout == "f"
    used = machine.cpu.floats[: (count + 1) // 2 if shared else count]
    values = [int(machine.engine.reg_read(register)).to_bytes(8, "little") for register in used]
    data = b"".join(value if shared else value[:size] for value in values)
    result = function(*struct.unpack_from(f"<{count}{layout}", data))
    first = struct.pack("<" + layout, result) + (data[4:8] if shared else b"")
    machine.engine.reg_write(machine.cpu.floats[0], int.from_bytes(first, "little"))


def _print(machine: Machine) -> int:
    """``vsnprintf(buffer, size, format, list)`` with the conversions that the driver uses: d, s, zu, g."""
    buffer, size, form, list_at = (machine.argument(index) for index in range(4))
    values = _Variadic(machine, list_at)

    def converted(match: re.Match[str]) -> str:
        kind = match["kind"]
        if kind == "%":
            return "%"
        if kind == "g":
            return f"%{match['precision'] or ''}g" % values.double()
        value = values.integer(machine.cpu.word if match["long"] or kind == "s" else 4)
        return machine.text(value) if kind == "s" else str(value - (1 << 32) * (kind == "d" and value >> 31))

    text = re.sub(r"%(?P<precision>\.\d+)?(?P<long>[zl])?(?P<kind>[dusg%])", converted, machine.text(form))
    data = text.encode()
    if size:
        machine.write(buffer, data[: size - 1] + b"\0")
    return len(data)


class _Variadic:
    """The arguments behind a va_list, in order: AAPCS64 section 10.1.5, and a plain pointer on 32-bit ARM."""

    def __init__(self, machine: Machine, place: int) -> None:
        self._machine = machine
        if machine.cpu.word == 4:
            self._stack = place
            return
        self._stack, self._general_top, self._vector_top = (machine.read_word(place + 8 * i) for i in range(3))
        self._general, self._vector = (unpack("i", machine.read(place + 24 + 4 * i, 4)) for i in range(2))

    def integer(self, size: int) -> int:
        """An int or a size_t."""
        if self._machine.cpu.word == 4:
            return int.from_bytes(self._take(4), "little")
        if self._general < 0:
            place = self._general_top + self._general
            self._general += 8
            return int.from_bytes(self._machine.read(place, size), "little")
        return int.from_bytes(self._take(8)[:size], "little")

    def double(self) -> float:
        if self._machine.cpu.word == 4:
            self._stack = -(-self._stack // 8) * 8
            return float(unpack("d", self._take(8)))
        if self._vector < 0:
            place = self._vector_top + self._vector
            self._vector += 16
            return float(unpack("d", self._machine.read(place, 8)))
        return float(unpack("d", self._take(8)))

    def _take(self, size: int) -> Any:
        data = self._machine.read(self._stack, size)
        self._stack += size
        return data
