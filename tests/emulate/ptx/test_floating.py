"""Float arithmetic, conversions and comparisons against numpy's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulate.ptx.snippets import compute

F32 = st.floats(width=32, allow_nan=True, allow_infinity=True)
ARRAYS = st.lists(F32, min_size=20, max_size=20).map(lambda drawn: np.array(drawn, np.float32))
NUMBERS = np.array([-3.5, -2.5, -0.5, -0.0, 0, 0.4, 0.5, 1.5, 2.5, 3e9, -3e9, np.inf, -np.inf, np.nan], np.float32)


def same(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(got, expected)


@given(a=ARRAYS, b=ARRAYS)
@settings(max_examples=12, deadline=None)
def test_arithmetic_is_numpys(a: np.ndarray, b: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        same(compute("add.rn.f32 D, A, B;", [a, b], np.float32), a + b)
        same(compute("sub.f32 D, A, B;", [a, b], np.float32), a - b)
        same(compute("mul.rn.f32 D, A, B;", [a, b], np.float32), a * b)
        same(compute("div.rn.f32 D, A, B;", [a, b], np.float32), a / b)
        same(compute("min.f32 D, A, B;", [a, b], np.float32), np.fmin(a, b))
        same(compute("max.NaN.f32 D, A, B;", [a, b], np.float32), np.maximum(a, b))
        same(compute("neg.f32 D, A;", [a], np.float32), -a)
        same(compute("abs.f32 D, A;", [a], np.float32), np.abs(a))
        same(compute("copysign.f32 D, A, B;", [a, b], np.float32), np.copysign(b, a))


def test_fma_rounds_once() -> None:
    a = np.array([1 + 2**-12], np.float32)
    c = np.array([-(1 + 2**-11)], np.float32)
    assert compute("fma.rn.f32 D, A, A, B;", [a, c], np.float32)[0] == np.float32(2**-24)
    assert (a * a + c)[0] == 0  # rounded twice, the difference is gone


@given(a=ARRAYS, b=ARRAYS, c=ARRAYS)
@settings(max_examples=12, deadline=None)
def test_fma_is_the_exact_sum_rounded(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        expected = (a.astype(np.float64) * b + c).astype(np.float32)
    same(compute("fma.rn.f32 D, A, B, C;", [a, b, c], np.float32), expected)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("ex2.approx.ftz", np.exp2),
        ("lg2.approx", np.log2),
        ("sqrt.rn", np.sqrt),
        ("rsqrt.approx", lambda x: 1 / np.sqrt(x)),
        ("rcp.rn", lambda x: 1 / x),
        ("sin.approx", np.sin),
        ("cos.approx", np.cos),
        ("tanh.approx", np.tanh),
    ],
)
def test_functions(name: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
    x = np.array([0.1, 0.5, 1, 2, 3.75, 20, 100], np.float32)
    got = compute(f"{name}.f32 D, A;", [x], np.float32)
    np.testing.assert_allclose(got, function(x.astype(np.float64)), rtol=6e-8)


def test_small_numbers_flush_and_results_saturate() -> None:
    tiny = np.array([1e-40, -1e-40, 1e-30, 0.5, 2, np.nan], np.float32)
    flushed = np.array([0, 0, 1e-30, 0.5, 2, np.nan], np.float32)
    cut = np.array([1e-40, 0, 1e-30, 0.5, 1, 0], np.float32)
    same(compute("add.ftz.f32 D, A, 0f00000000;", [tiny], np.float32), flushed)
    same(compute("add.sat.f32 D, A, 0f00000000;", [tiny], np.float32), cut)


def test_doubles_and_halves() -> None:
    a, b = np.array([1.1, -2.5, 1e200]), np.array([3.3, 0.1, 1e10])
    same(compute("fma.rn.f64 D, A, B, A;", [a, b], np.float64), (a.astype(np.longdouble) * b + a).astype(np.float64))
    same(compute("cvt.rn.f32.f64 D, A;", [a[:2]], np.float32), a[:2].astype(np.float32))
    half = np.array([1.5, 2.25, -3], np.float16)
    same(compute("add.f16 D, A, A;", [half], np.float16), half + half)
    same(compute("cvt.f32.f16 D, A;", [half], np.float32), half.astype(np.float32))


@pytest.mark.parametrize(
    ("mode", "function"), [("rni", np.rint), ("rzi", np.trunc), ("rmi", np.floor), ("rpi", np.ceil)]
)
def test_float_to_integer(mode: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
    whole = function(NUMBERS.astype(np.float64))
    limited = np.where(np.isnan(whole), 0, np.clip(whole, -(2**31), 2**31 - 1))
    same(compute(f"cvt.{mode}.s32.f32 D, A;", [NUMBERS], np.int32), limited.astype(np.int32))
    limited = np.where(np.isnan(whole), 0, np.clip(whole, 0, 2**32 - 1))
    same(compute(f"cvt.{mode}.u32.f32 D, A;", [NUMBERS], np.uint32), limited.astype(np.uint32))
    same(compute(f"cvt.{mode}.f32.f32 D, A;", [NUMBERS], np.float32), function(NUMBERS))


def test_integers_convert() -> None:
    a = np.array([-1, -128, 200, 70000, -70000, 2**31 - 1], np.int32)
    same(compute("cvt.rn.f32.s32 D, A;", [a], np.float32), a.astype(np.float32))
    same(compute("cvt.s64.s32 D, A;", [a], np.int64), a.astype(np.int64))
    same(compute("cvt.u64.u32 D, A;", [a], np.uint64), a.view(np.uint32).astype(np.uint64))
    same(compute("cvt.u16.u32 D, A;", [a], np.uint16), a.astype(np.uint16))
    same(compute("cvt.s32.s8 D, A;", [a], np.int32), a.astype(np.int8).astype(np.int32))
    same(compute("cvt.sat.s8.s32 D, A;", [a], np.int16).astype(np.int8), np.clip(a, -128, 127).astype(np.int8))
    same(compute("cvt.sat.u16.s32 D, A;", [a], np.uint16), np.clip(a, 0, 65535).astype(np.uint16))


COMPARISONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: (a != b) & ~np.isnan(a) & ~np.isnan(b),
    "lt": lambda a, b: a < b,
    "ge": lambda a, b: a >= b,
    "neu": lambda a, b: a != b,
    "ltu": lambda a, b: ~(a >= b),
    "gtu": lambda a, b: ~(a <= b),
    "num": lambda a, b: ~np.isnan(a) & ~np.isnan(b),
    "nan": lambda a, b: np.isnan(a) | np.isnan(b),
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_float_comparisons(name: str) -> None:
    a, b = (grid.reshape(-1) for grid in np.meshgrid(NUMBERS, NUMBERS))
    got = compute(f"setp.{name}.f32 P, A, B;\nselp.b32 D, 1, 0, P;", [a, b], np.uint32)
    same(got, COMPARISONS[name](a, b).astype(np.uint32))


def test_integer_comparisons_by_sign() -> None:
    a = np.array([0, 1, 2**31, 2**32 - 1], np.uint32)
    b = np.array([1, 1, 1, 1], np.uint32)
    line = "setp.{}.{} P, A, B;\nselp.b32 D, 1, 0, P;"
    same(compute(line.format("lt", "u32"), [a, b], np.uint32), np.array([1, 0, 0, 0], np.uint32))
    same(compute(line.format("lt", "s32"), [a, b], np.uint32), np.array([1, 0, 1, 1], np.uint32))
    same(compute(line.format("hs", "u32"), [a, b], np.uint32), np.array([0, 1, 1, 1], np.uint32))


def test_comparison_with_a_second_predicate() -> None:
    a = np.arange(6, dtype=np.uint32)
    lines = "setp.gt.u32 %p3, A, 3;\nsetp.lt.and.u32 P|%p2, A, 2, !%p3;\n"
    lines += "selp.b32 %r9, 1, 0, P;\nselp.b32 D, 2, %r9, %p2;"
    same(compute(lines, [a], np.uint32), np.array([1, 1, 2, 2, 0, 0], np.uint32))


def test_set_and_selections() -> None:
    a, b = np.array([1, 5], np.int32), np.array([2, -2], np.int32)
    same(compute("set.lt.u32.s32 D, A, B;", [a, b], np.uint32), np.array([2**32 - 1, 0], np.uint32))
    same(compute("set.lt.f32.s32 D, A, B;", [a, b], np.float32), np.array([1, 0], np.float32))
    same(compute("slct.b32.s32 D, A, 7, B;", [a, b], np.int32), np.array([1, 7], np.int32))


def test_kinds_of_numbers() -> None:
    a = np.array([1, 1e-40, 0, np.inf, np.nan], np.float32)
    line = "testp.{}.f32 P, A;\nselp.b32 D, 1, 0, P;"
    expected = {"finite": "11100", "infinite": "00010", "number": "11110", "notanumber": "00001"}
    expected |= {"normal": "10000", "subnormal": "01000"}
    for name, flags in expected.items():
        assert "".join(map(str, compute(line.format(name), [a], np.uint32))) == flags, name


def test_registers_are_taken_apart_and_put_together() -> None:
    a = np.array([0x11223344_55667788, 2**63], np.uint64)
    swapped = compute("mov.b64 {%r1, %r2}, A;\nmov.b64 D, {%r2, %r1};", [a], np.uint64)
    same(swapped, np.array([0x55667788_11223344, 0x80000000], np.uint64))
    assert compute("mov.b64 {_, %r2}, A;\nmov.b32 D, %r2;", [a], np.uint32).tolist() == [0x11223344, 2**31]
