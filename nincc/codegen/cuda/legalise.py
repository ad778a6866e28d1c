"""TIR of a GPU kernel to what LLVM's PTX back end selects: no libdevice, no CUDA headers.

Mathematics becomes the hardware's approximations (``ex2.approx``, ``lg2.approx``) with the corrections that keep
float32 accuracy; barriers, shuffles and the active mask become nvvm intrinsics; shared memory and pointers are aligned
to 16 bytes, without which no 16-byte load is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.errors import ModelError

tir = tvm.tir
Expr = Any

LOG2E = math.log2(math.e)
LOG2E_REST = LOG2E - float(np.float32(LOG2E))
ALIGNMENT = 16
_SHUFFLES = {"tir.tvm_warp_shuffle": ("idx", 31), "tir.tvm_warp_shuffle_down": ("down", 31)}
_SHUFFLES["tir.tvm_warp_shuffle_up"] = ("up", 0)


def legalise(func: Any) -> Any:
    """The device function with every call that the back end lacks replaced.

    ModelError names an operation of the net that has no GPU form.
    """
    body = tir.stmt_functor.ir_transform(func.body, None, _replace, ["tir.Call", "tir.Allocate"])
    for param in func.params:
        if param.dtype == "handle":
            body = tir.AttrStmt(param, "storage_alignment", tir.const(ALIGNMENT, "int32"), body)
    return func.with_body(body)


def _replace(node: Any) -> Any:
    if isinstance(node, tir.Allocate):
        return _aligned(node)
    if not isinstance(node.op, tvm.ir.Op):
        return node
    name = node.op.name
    if name in _SHUFFLES:
        return _shuffle(node, *_SHUFFLES[name])
    if name == "tir.tvm_storage_sync":
        return _barrier(node)
    if name == "tir.tvm_warp_activemask":
        return intrinsic("llvm.nvvm.activemask", "uint32")
    if name in MATHEMATICS:
        return MATHEMATICS[name](*node.args) if str(node.dtype) == "float32" else _by_lanes(node)
    if name in _WITHOUT_FORM or name in ("tir.call_pure_extern", "tir.call_extern"):
        what = node.args[0].value if "extern" in name else name.removeprefix("tir.")
        raise ModelError(f"the net needs '{what}', which has no GPU form", hint="compile for a CPU target")
    return node


def intrinsic(name: str, dtype: str, *args: Expr) -> Expr:
    """A call of an LLVM intrinsic; its overloads are taken from the arguments."""
    return tir.call_llvm_intrin(dtype, name, tir.const(len(args), "uint32"), *args)


def _aligned(alloc: Any) -> Any:
    if not alloc.buffer_var.type_annotation.storage_scope.startswith("shared"):
        return alloc
    return tir.AttrStmt(alloc.buffer_var, "storage_alignment", tir.const(ALIGNMENT, "int32"), alloc)


def _barrier(call: Any) -> Expr:
    scope = call.args[0].value
    if scope == "warp":
        return intrinsic("llvm.nvvm.bar.warp.sync", "void", tir.const(-1, "int32"))
    return intrinsic("llvm.nvvm.barrier.cta.sync.aligned.all", "void", tir.const(0, "int32"))


def _shuffle(call: Any, kind: str, clamp: int) -> Expr:
    mask, value, lane, width = call.args[:4]
    suffix = "f32" if call.dtype == "float32" else "i32"
    segment = tir.const((32 - int(width)) << 8 | clamp, "int32")
    return intrinsic(f"llvm.nvvm.shfl.sync.{kind}.{suffix}", call.dtype, mask, value, lane, segment)


def _by_lanes(call: Any) -> Expr:
    """A vector's function, lane by lane."""
    lanes = call.dtype.lanes if hasattr(call.dtype, "lanes") else tvm.DataType(call.dtype).lanes
    scalar = MATHEMATICS[call.op.name]
    parts = [scalar(*(tir.Shuffle([arg], [lane]) for arg in call.args)) for lane in range(lanes)]
    return tir.Shuffle(parts, list(range(lanes)))


def _f32(value: float) -> Expr:
    return tir.const(value, "float32")


def _fma(a: Expr, b: Expr, c: Expr) -> Expr:
    return intrinsic("llvm.fma.f32", "float32", a, b, c)


def exp(x: Expr) -> Expr:
    """e^x = 2^t · 2^d: t is x·log2(e) rounded, d what the rounding lost, so that 2^d = 1 + d·ln 2 in float32."""
    high = _f32(LOG2E)
    t = x * high
    lost = _fma(x, high, -t) + x * _f32(LOG2E_REST)
    power = exp2(t)
    # Past the range t is infinite and its loss no number: the power alone is right there.
    exact = _fma(power, lost * _f32(math.log(2)), power)
    return tir.Select(_llvm("fabs")(t) < _f32(127.0), exact, power)


def exp2(x: Expr) -> Expr:
    return intrinsic("llvm.nvvm.ex2.approx.ftz.f", "float32", x)


def log2(x: Expr) -> Expr:
    return intrinsic("llvm.nvvm.lg2.approx.f", "float32", x)


def log(x: Expr) -> Expr:
    return log2(x) * _f32(math.log(2))


def tanh(x: Expr) -> Expr:
    """1 - 2 / (e^2|x| + 1) with the sign of x; near zero, where that cancels, the series."""
    size = _llvm("fabs")(x)
    far = _f32(1) - _f32(2) / (exp(size * _f32(2)) + _f32(1))
    square = x * x
    series = _f32(-17 / 315)
    for term in (2 / 15, -1 / 3):
        series = _fma(series, square, _f32(term))
    near = _fma(x * square, series, x)
    return tir.Select(size < _f32(0.2), near, tir.Select(x < _f32(0), -far, far))


def erf(x: Expr) -> Expr:
    """Abramowitz and Stegun, 7.1.26: off by 1.5e-7 at most."""
    size = _llvm("fabs")(x)
    t = _f32(1) / _fma(_f32(0.3275911), size, _f32(1))
    total = _f32(1.061405429)
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        total = _fma(total, t, _f32(term))
    value = _f32(1) - total * t * exp(-size * size)
    return tir.Select(x < _f32(0), -value, value)


def power(x: Expr, y: Expr) -> Expr:
    """x^y for x ≥ 0, and for whole y of any sign; as in C otherwise not a number."""
    size = exp2(y * log2(_llvm("fabs")(x)))
    whole = _llvm("floor")(y)
    odd = whole - _f32(2) * _llvm("floor")(whole * _f32(0.5))
    signed = tir.Select(odd == _f32(1), -size, size)
    negative = tir.Select(whole == y, signed, _f32(math.nan))
    return tir.Select(y == _f32(0), _f32(1), tir.Select(x < _f32(0), negative, size))


def _llvm(name: str) -> Callable[..., Expr]:
    return lambda *args: intrinsic(f"llvm.{name}.f32", "float32", *args)


MATHEMATICS: dict[str, Callable[..., Expr]] = {
    "tir.exp": exp,
    "tir.exp2": exp2,
    "tir.exp10": lambda x: exp(x * _f32(math.log(10))),
    "tir.log": log,
    "tir.log2": log2,
    "tir.log10": lambda x: log2(x) * _f32(math.log10(2)),
    "tir.log1p": lambda x: log(_f32(1) + x),
    "tir.tanh": tanh,
    "tir.sigmoid": lambda x: _f32(1) / (_f32(1) + exp(-x)),
    "tir.erf": erf,
    "tir.pow": power,
    "tir.sqrt": _llvm("sqrt"),
    "tir.rsqrt": lambda x: _f32(1) / _llvm("sqrt")(x),
    "tir.floor": _llvm("floor"),
    "tir.ceil": _llvm("ceil"),
    "tir.trunc": _llvm("trunc"),
    "tir.round": _llvm("rint"),
    "tir.nearbyint": _llvm("rint"),
    "tir.fabs": _llvm("fabs"),
}
_WITHOUT_FORM = {
    f"tir.{name}"
    for name in ("sin", "cos", "tan", "sinh", "cosh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2",
                 "hypot", "copysign", "ldexp", "nextafter")
}  # fmt: skip
