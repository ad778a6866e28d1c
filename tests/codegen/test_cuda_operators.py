"""Standard operators and the definitions of ours, scheduled, lowered to PTX and interpreted, against float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.gpu_running import gpu, kernels_of, primitive, relay, run_on_gpu
from nincc._tvm import tvm
from nincc.errors import InternalError, ModelError
from nincc.kernels.ops import call
from nincc.kernels.pack_weights import pack_bias, pack_conv2d, pack_gemm
from nincc.kernels.spec import Pooling

Array = np.ndarray[Any, Any]
GENERATOR = np.random.default_rng(3)
REASON = {"layer": "layer", "macs": 0, "reason": "test", "mr": 1, "tasks": 1}


def floats(*shape: int) -> Array:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def var(name: str, array: Array) -> Any:
    return relay.var(name, shape=array.shape)


def check(folder: Path, build: Callable[..., Any], arrays: list[Array], wanted: Array, limit: float = 2e-6) -> None:
    params = [var(f"x{i}", array) for i, array in enumerate(arrays)]
    found = run_on_gpu(build(*params), params, arrays, folder)
    assert found.shape == wanted.shape
    largest = np.abs(wanted).max()
    assert np.abs(found - wanted).max() <= limit * largest, np.abs(found - wanted).max() / largest


X = np.concatenate([np.linspace(-80, 80, 400), np.linspace(-3, 3, 600), [0.0, -0.0, 1e-6]]).astype(np.float32)
D = X.astype(np.float64)


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (relay.tanh, np.tanh(D)),
        (relay.sigmoid, 1 / (1 + np.exp(-D))),
        (relay.erf, np.vectorize(math.erf)(D)),
        (lambda x: relay.log(relay.abs(x) + relay.const(1e-3)), np.log(np.abs(D) + 1e-3)),
        (lambda x: relay.sqrt(relay.abs(x)), np.sqrt(np.abs(D))),
        (lambda x: relay.rsqrt(relay.abs(x) + relay.const(0.5)), 1 / np.sqrt(np.abs(D) + 0.5)),
        (lambda x: relay.power(relay.abs(x), relay.const(0.75)), np.abs(D) ** 0.75),
        (lambda x: relay.power(x, relay.const(3.0)), D**3),
        (relay.floor, np.floor(D)),
        (relay.ceil, np.ceil(D)),
        (relay.trunc, np.trunc(D)),
        (relay.round, np.round(D)),
        (lambda x: relay.clip(x, 0, 6), np.clip(D, 0, 6)),
        (lambda x: relay.nn.leaky_relu(x, 0.1), np.where(D > 0, D, 0.1 * D)),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else None,
)
def test_elementwise(tmp_path: Path, build: Callable[..., Any], wanted: Array) -> None:
    check(tmp_path, build, [X], wanted)


def test_exp_is_right_over_its_whole_range(tmp_path: Path) -> None:
    """Relative to each value, not to the largest: a softmax divides small ones by small ones."""
    x = np.linspace(-87, 88, 2000).astype(np.float32)
    param = var("x", x)
    found = run_on_gpu(relay.exp(param), [param], [x], tmp_path)
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=4e-7)
    far = np.array([-1000, -104, 89, 1000], np.float32)
    param = var("x", far)
    assert run_on_gpu(relay.exp(param), [param], [far], tmp_path).tolist() == [0, 0, math.inf, math.inf]


def test_softmax(tmp_path: Path) -> None:
    x = 10 * floats(3, 10)
    exponentials = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    wanted = exponentials / exponentials.sum(axis=1, keepdims=True)
    check(tmp_path, relay.nn.softmax, [x], wanted, 1e-6)
    check(tmp_path, relay.nn.log_softmax, [x], np.log(wanted), 1e-6)


def test_layout_and_shape(tmp_path: Path) -> None:
    x, y = floats(2, 3, 5, 7), floats(2, 4, 5, 7)
    check(tmp_path, lambda a, b: relay.concatenate([a, b], axis=1), [x, y], np.concatenate([x, y], axis=1))
    check(tmp_path, lambda a: relay.transpose(a, [0, 2, 3, 1]), [x], x.transpose(0, 2, 3, 1))
    check(tmp_path, lambda a: relay.strided_slice(a, [0, 0, 0, 1], [2, 3, 5, 7], [1, 1, 2, 3]), [x], x[:, :, ::2, 1::3])
    check(
        tmp_path,
        lambda a: relay.nn.pad(a, ((0, 0), (0, 0), (1, 2), (0, 1))),
        [x],
        np.pad(x, ((0, 0), (0, 0), (1, 2), (0, 1))),
    )


def test_reductions(tmp_path: Path) -> None:
    x = floats(2, 6, 9, 9)
    check(tmp_path, lambda a: relay.nn.global_avg_pool2d(a), [x], x.mean(axis=(2, 3), keepdims=True, dtype=np.float64))
    check(tmp_path, lambda a: relay.max(a, axis=1), [x], x.max(axis=1))
    pixel = floats(3, 6, 1, 1)
    check(tmp_path, lambda a: relay.nn.global_avg_pool2d(a), [pixel], pixel)
    wide = floats(40, 64)
    weight = floats(50, 64)
    check(tmp_path, relay.nn.dense, [wide, weight], wide.astype(np.float64) @ weight.T)


def test_grouped_convolution(tmp_path: Path) -> None:
    x, weight = floats(1, 6, 8, 8), floats(8, 3, 3, 3)
    wanted = convolution(x[:, :3], weight[:4]), convolution(x[:, 3:], weight[4:])
    check(
        tmp_path,
        lambda a, w: relay.nn.conv2d(a, w, groups=2, padding=(1, 1), channels=8, kernel_size=(3, 3)),
        [x, weight],
        np.concatenate(wanted, axis=1),
    )


def convolution(x: Array, weight: Array, stride: int = 1, pad: int = 1, dilation: int = 1) -> Array:
    """NCHW by OIHW in float64."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, cols = weight.shape[2:]
    high, wide = (
        (extent - (taps - 1) * dilation - 1) // stride + 1
        for extent, taps in zip(padded.shape[2:], (rows, cols), strict=True)
    )
    total = np.zeros((x.shape[0], weight.shape[0], high, wide))
    for r in range(rows):
        for s in range(cols):
            window = padded[:, :, r * dilation :, s * dilation :][
                :, :, : stride * high : stride, : stride * wide : stride
            ]
            total += np.einsum("nchw,oc->nohw", window[:, :, :high, :wide], weight[:, :, r, s].astype(np.float64))
    return total


def nhwc(x: Array, lanes: int = 4) -> Array:
    """Packed: channels last, padded with something that no kernel may read."""
    missing = -x.shape[1] % lanes
    filler = np.full((x.shape[0], missing, *x.shape[2:]), 1e6, x.dtype)
    return np.ascontiguousarray(np.concatenate([x, filler], axis=1).transpose(0, 2, 3, 1))


@pytest.mark.parametrize(("units", "activation"), [(16, "relu"), (10, "none"), (5, "relu6")])
def test_gemm_and_its_mean(tmp_path: Path, units: int, activation: str) -> None:
    x, weight, bias = floats(2, 6, 5, 5), 3 * floats(units, 6), floats(units)
    arrays = [nhwc(x), pack_gemm(weight, 8), pack_bias(bias, 8)]
    product = np.einsum("nchw,oc->nohw", x.astype(np.float64), weight) + bias[:, None, None]
    limits = {"none": (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}[activation]
    wanted = np.clip(product, *limits)
    attrs = {"units": units, "channels": 6, "activation": activation, "lanes": 4, **REASON}

    check(tmp_path, lambda *a: call("nincc.gemm", list(a), order="mn", **attrs), arrays, packed(wanted, units))
    mean = wanted.mean(axis=(2, 3), keepdims=True)
    check(tmp_path, lambda *a: call("nincc.gemm_pool", list(a), **attrs), arrays, packed(mean, units))


def packed(wanted: Array, units: int) -> Array:
    """[N, H, W, units padded to 4]; the padding channels are zero, as zero weights make them."""
    return np.pad(wanted, ((0, 0), (0, -units % 4), (0, 0), (0, 0))).transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("layout", "taps", "stride", "pad", "dilation"),
    [("NHWC", 3, 1, 1, 1), ("NHWC", 5, 2, 2, 1), ("NHWC", 3, 1, 2, 2), ("NCHW", 5, 1, 2, 1), ("NCHW", 3, 2, 0, 1)],
)
def test_conv2d(tmp_path: Path, layout: str, taps: int, stride: int, pad: int, dilation: int) -> None:
    x, weight, bias = floats(2, 6, 9, 9), floats(10, 6, taps, taps), floats(10)
    wanted = np.maximum(convolution(x, weight, stride, pad, dilation) + bias[:, None, None], 0)
    arrays = [nhwc(x) if layout == "NHWC" else x, pack_conv2d(weight, 8), pack_bias(bias, 8)]
    attrs = conv_attrs(layout, 6, 10, taps, stride, pad, dilation)
    check(tmp_path, lambda *a: call("nincc.conv2d", list(a), **attrs), arrays, packed(wanted, 10))


def conv_attrs(
    layout: str, channels: int, units: int, taps: int, stride: int, pad: int, dilation: int, pool: str = ""
) -> dict[str, Any]:
    return {
        "layout": layout, "channels": channels, "units": units, "kernel": (taps, taps), "strides": (stride, stride),
        "padding": (pad,) * 4, "dilation": (dilation, dilation), "activation": "relu", "pool": pool, "lanes": 4,
        **REASON,
    }  # fmt: skip


POOLS = [
    Pooling("max", (3, 3), (2, 2), (0, 0, 0, 0), (5, 5)),  # overhangs, as with ceil_mode
    Pooling("avg", (3, 3), (2, 2), (0, 0, 0, 0), (5, 5)),
    Pooling("avg", (3, 3), (2, 2), (1, 1, 1, 1), (5, 5), False),
    Pooling("avg", (3, 3), (2, 2), (1, 1, 1, 1), (5, 5), True),
    Pooling("max", (2, 2), (2, 2), (0, 0, 0, 0), (5, 5)),
]


def pooled(x: Array, pool: Pooling) -> Array:
    """NCHW in float64: windows clipped to the map; an average divides as Pooling says."""
    result = np.empty((*x.shape[:2], *pool.out_size))
    for y in range(pool.out_size[0]):
        for z in range(pool.out_size[1]):
            result[:, :, y, z] = _window(x.astype(np.float64), pool, y, z)
    return result


def _window(x: Array, pool: Pooling, y: int, z: int) -> Array:
    starts = y * pool.strides[0] - pool.padding[0], z * pool.strides[1] - pool.padding[1]
    ends = starts[0] + pool.kernel[0], starts[1] + pool.kernel[1]
    part = x[:, :, max(starts[0], 0) : ends[0], max(starts[1], 0) : ends[1]]
    if pool.kind == "max":
        return part.max(axis=(2, 3))
    if not pool.count_include_pad:
        return part.mean(axis=(2, 3))
    spans = [
        min(end, size + after) - start
        for start, end, size, after in zip(starts, ends, x.shape[2:], pool.padding[2:], strict=True)
    ]
    return part.sum(axis=(2, 3)) / (spans[0] * spans[1])


@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_pool2d_and_a_pool_in_a_gather(tmp_path: Path, pool: Pooling) -> None:
    x, weight, bias = floats(1, 8, 10, 10), floats(4, 8, 3, 3), floats(4)
    attrs = {
        "kind": pool.kind, "kernel": pool.kernel, "strides": pool.strides, "padding": pool.padding, "lanes": 4,
        "out_size": pool.out_size, "count_include_pad": int(pool.count_include_pad), **REASON,
    }  # fmt: skip
    wanted = pooled(x, pool)
    check(tmp_path, lambda a: call("nincc.pool2d", [a], **attrs), [nhwc(x)], wanted.transpose(0, 2, 3, 1))
    after = np.maximum(convolution(wanted, weight) + bias[:, None, None], 0)
    knobs = conv_attrs("NHWC", 8, 4, 3, 1, 1, 1, str(pool))
    arrays = [nhwc(x), pack_conv2d(weight, 8), pack_bias(bias, 8)]
    check(tmp_path, lambda *a: call("nincc.conv2d", list(a), **knobs), arrays, after.transpose(0, 2, 3, 1))


def test_pack_and_unpack(tmp_path: Path) -> None:
    x = floats(2, 5, 3, 3)
    check(tmp_path, lambda a: call("nincc.pack", [a], lanes=4, **REASON), [x], packed(x, 5))
    check(tmp_path, lambda a: call("nincc.unpack", [a], channels=5, **REASON), [nhwc(x)], x)
    mean = x.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
    data = np.ascontiguousarray(packed(x, 5))
    check(tmp_path, lambda a: call("nincc.global_avg_pool", [a], lanes=4, **REASON), [data], packed(mean, 5))


def test_what_has_no_gpu_form_is_named(tmp_path: Path) -> None:
    x = relay.var("x", shape=(4,))
    with pytest.raises(ModelError, match="the net needs 'atan', which has no GPU form; compile for a CPU target"):
        run_on_gpu(relay.atan(x), [x], [np.zeros(4, np.float32)], tmp_path)


def test_work_without_a_schedule_is_an_internal_error() -> None:
    from nincc.codegen.cuda.split import split_kernels

    x = relay.var("x", shape=(4,))
    assert kernels_of(primitive(relay.nn.relu(x), [x]), gpu()).calls
    func = tvm.tir.PrimFunc([], tvm.tir.Evaluate(tvm.tir.const(0)))
    with pytest.raises(InternalError, match="kernel 'k' has no GPU schedule"):
        split_kernels("k", func, tvm.target.Target("cuda -arch=sm_80", host="llvm"))
