"""Integer arithmetic and bits against Python's integers."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nincc.errors import InternalError
from tests.emulate.ptx.snippets import compute

EDGES = [0, 1, 2, 3, 31, 32, 33, 127, 128, 255, 0x7FFF, 0x8000, 0xFFFF]
EDGES += [0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000, 2**63 - 1, 2**63, 2**64 - 1]
TYPES = {
    f"{sign}{bits}": np.dtype(f"{code}{bits // 8}") for sign, code in (("s", "i"), ("u", "u")) for bits in (16, 32, 64)
}
Binary = Callable[[int, int], int]


def truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def wrapped(value: int, dtype: np.dtype) -> int:
    bits = 8 * dtype.itemsize
    value %= 1 << bits
    return value - (1 << bits) if dtype.kind == "i" and value >= 1 << (bits - 1) else value


def operands(*kinds: str) -> list[np.ndarray]:
    """Values of the types: every pair of edges, and as many random ones."""
    pairs = [(x, y) for x in EDGES for y in EDGES]
    draw = random.Random(5)
    pairs += [(draw.getrandbits(64) >> draw.randrange(64), draw.getrandbits(64)) for _ in pairs]
    columns = [*zip(*pairs, strict=True), [draw.getrandbits(64) for _ in pairs]]
    found = []
    for kind, column in zip(kinds, columns, strict=False):
        found.append(np.array([wrapped(value, TYPES[kind]) for value in column], TYPES[kind]))
    return found


BINARY: dict[str, Binary] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul.lo": lambda a, b: a * b,
    "min": min,
    "max": max,
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", BINARY)
def test_arithmetic_wraps(name: str, kind: str) -> None:
    a, b = operands(kind, kind)
    expected = [wrapped(BINARY[name](int(x), int(y)), TYPES[kind]) for x, y in zip(a, b, strict=True)]
    assert compute(f"{name}.{kind} D, A, B;", [a, b], TYPES[kind]).tolist() == expected


@pytest.mark.parametrize("kind", TYPES)
def test_high_half_of_a_product(kind: str) -> None:
    a, b = operands(kind, kind)
    bits = 8 * TYPES[kind].itemsize
    expected = [wrapped(int(x) * int(y) >> bits, TYPES[kind]) for x, y in zip(a, b, strict=True)]
    assert compute(f"mul.hi.{kind} D, A, B;", [a, b], TYPES[kind]).tolist() == expected


@pytest.mark.parametrize("kind", ["s16", "u16", "s32", "u32"])
def test_wide_product_and_sum(kind: str) -> None:
    wide = f"{kind[0]}{2 * int(kind[1:])}"
    a, b, c = operands(kind, kind, wide)
    expected = [wrapped(int(x) * int(y) + int(z), TYPES[wide]) for x, y, z in zip(a, b, c, strict=True)]
    assert compute(f"mad.wide.{kind} D, A, B, C;", [a, b, c], TYPES[wide]).tolist() == expected


@pytest.mark.parametrize("kind", TYPES)
def test_division_rounds_to_zero(kind: str) -> None:
    a, b = operands(kind, kind)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    quotients = [wrapped(truncated(x, y) if y else -1, TYPES[kind]) for x, y in pairs]
    remainders = [wrapped(x - truncated(x, y) * y if y else x, TYPES[kind]) for x, y in pairs]
    assert compute(f"div.{kind} D, A, B;", [a, b], TYPES[kind]).tolist() == quotients
    assert compute(f"rem.{kind} D, A, B;", [a, b], TYPES[kind]).tolist() == remainders


@pytest.mark.parametrize("kind", TYPES)
def test_shifts_stop_at_the_width(kind: str) -> None:
    a, amount = operands(kind, "u32")
    dtype = TYPES[kind]
    bits = 8 * dtype.itemsize
    pairs = list(zip(a.tolist(), (min(n, bits) for n in amount.tolist()), strict=True))
    assert compute(f"shl.b{bits} D, A, B;", [a, amount], dtype).tolist() == [wrapped(x << n, dtype) for x, n in pairs]
    assert compute(f"shr.{kind} D, A, B;", [a, amount], dtype).tolist() == [x >> n for x, n in pairs]


def field(value: int, position: int, length: int, bits: int, signed: bool) -> int:
    """The definition of ``bfe``, bit by bit."""
    result = 0
    for place in range(bits):
        top = min(position + length - 1, bits - 1)
        source = position + place if place < length else top
        inside = place < length and position + place < bits
        bit = value >> source & 1 if inside or (signed and length) else 0
        result |= bit << place
    return result


@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u64"])
def test_bit_fields(kind: str) -> None:
    dtype = TYPES[kind]
    bits = 8 * dtype.itemsize
    a = operands(kind)[0][:700]
    draw = random.Random(7)
    position, length = (np.array([draw.randrange(bits + 4) for _ in a], np.uint32) for _ in range(2))
    got = compute(f"bfe.{kind} D, A, B, C;", [a, position, length], dtype).tolist()
    cases = zip(a.tolist(), position.tolist(), length.tolist(), strict=True)
    assert got == [wrapped(field(x, start, count, bits, kind[0] == "s"), dtype) for x, start, count in cases]


@given(position=st.integers(0, 34), length=st.integers(0, 34))
@settings(max_examples=15, deadline=None)
def test_bit_field_insert(position: int, length: int) -> None:
    a, b = operands("u32", "u32")
    mask = ((1 << length) - 1) << position
    expected = [((int(y) & ~mask) | (int(x) << position & mask)) % 2**32 for x, y in zip(a, b, strict=True)]
    assert compute(f"bfi.b32 D, A, B, {position}, {length};", [a, b], np.uint32).tolist() == expected


def test_bits_of_32() -> None:
    a, b, c = operands("u32", "u32", "u32")
    text = [f"{int(x):032b}" for x in a]
    assert compute("popc.b32 D, A;", [a], np.uint32).tolist() == [bits.count("1") for bits in text]
    assert compute("clz.b32 D, A;", [a], np.uint32).tolist() == [32 - int(x).bit_length() for x in a]
    assert compute("brev.b32 D, A;", [a], np.uint32).tolist() == [int(bits[::-1], 2) for bits in text]
    assert (compute("lop3.b32 D, A, B, C, 0x96;", [a, b, c], np.uint32) == a ^ b ^ c).all()
    assert (compute("lop3.b32 D, A, B, C, 0xE8;", [a, b, c], np.uint32) == (a & b) | (b & c) | (a & c)).all()
    assert (compute("and.b32 D, A, B;", [a, b], np.uint32) == a & b).all()
    assert (compute("not.b32 D, A;", [a], np.uint32) == ~a).all()
    assert (compute("cnot.b32 D, A;", [a], np.uint32) == (a == 0)).all()
    assert (compute("abs.s32 D, A;", [a], np.int32) == np.abs(a.view(np.int32))).all()
    assert (compute("neg.s32 D, A;", [a], np.int32) == -a.view(np.int32)).all()
    expected = [abs(int(x) - int(y)) + int(z) for x, y, z in zip(a, b, c, strict=True)]
    assert compute("sad.u32 D, A, B, C;", [a, b, c], np.uint32).tolist() == [x % 2**32 for x in expected]


def test_funnel_shifts() -> None:
    a, b, c = operands("u32", "u32", "u32")
    both = [int(high) << 32 | int(low) for low, high in zip(a, b, strict=True)]
    wrap, clamp = [int(n) % 32 for n in c], [min(int(n), 32) for n in c]
    left = [(x << n) >> 32 & 0xFFFF_FFFF for x, n in zip(both, wrap, strict=True)]
    right = [x >> n & 0xFFFF_FFFF for x, n in zip(both, clamp, strict=True)]
    assert compute("shf.l.wrap.b32 D, A, B, C;", [a, b, c], np.uint32).tolist() == left
    assert compute("shf.r.clamp.b32 D, A, B, C;", [a, b, c], np.uint32).tolist() == right


def test_bytes_permuted() -> None:
    a, b = np.array([0x33221100], np.uint32), np.array([0xF7665544], np.uint32)
    assert compute("prmt.b32 D, A, B, 0x7250;", [a, b], np.uint32).tolist() == [0xF7225500]
    assert compute("prmt.b32 D, A, B, 0x000F;", [a, b], np.uint32).tolist() == [0x000000FF]


UNKNOWN = ["add.cc.u32 D, A, A;", "mul.wide.u64 D, A, A;", "dp4a.u32.u32 D, A, A, A;", "frob.b32 D, A;"]


@pytest.mark.parametrize("line", UNKNOWN)
def test_unknown_forms_are_named_with_their_line(line: str) -> None:
    with pytest.raises(InternalError, match=rf"PTX line \d+: .*'{line.split()[0]}'"):
        compute(line, [np.zeros(1, np.uint32)], np.uint32)
