"""The float32 error of each convolution algorithm, as a share of the layer's largest output.

Measured, not derived: :func:`measure_winograd` and :func:`measure_direct` run the algorithms in numpy float32, summed
over channels one by one as the kernels do, on He-scaled Gaussian weights and rectified Gaussian inputs, and compare
with float64.  The table holds the largest of ``SEEDS`` runs, at least ``OUTPUTS`` outputs each;
``python -m nincc.kernels.error_table`` prints it anew.  ``verify`` measures the true error of every net.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nincc.errors import InternalError
from nincc.kernels.chain_weights import pair_operands
from nincc.kernels.cook_toom import LARGEST_TILE, cook_toom

CHANNELS = (4, 16, 64, 256, 1024)
SEEDS = 4
OUTPUTS = 4096
UNITS = 32

WINOGRAD: dict[tuple[int, int], tuple[float, ...]] = {
    (2, 2): (1.4e-07, 1.9e-07, 3.5e-07, 6.5e-07, 1.6e-06),
    (3, 2): (1.6e-07, 1.9e-07, 4.0e-07, 7.7e-07, 1.6e-06),
    (4, 2): (5.0e-07, 5.7e-07, 7.8e-07, 1.6e-06, 3.5e-06),
    (5, 2): (7.1e-07, 1.1e-06, 1.5e-06, 2.7e-06, 5.9e-06),
    (6, 2): (1.9e-06, 2.8e-06, 4.8e-06, 9.7e-06, 1.3e-05),
    (2, 3): (1.4e-07, 2.2e-07, 3.7e-07, 6.9e-07, 1.2e-06),
    (3, 3): (4.0e-07, 3.7e-07, 6.2e-07, 2.2e-06, 2.1e-06),
    (4, 3): (6.4e-07, 7.2e-07, 1.3e-06, 2.5e-06, 4.6e-06),
    (5, 3): (1.2e-06, 2.1e-06, 2.8e-06, 5.9e-06, 1.2e-05),
    (6, 3): (4.3e-06, 5.3e-06, 9.4e-06, 1.6e-05, 3.8e-05),
    (2, 4): (4.0e-07, 4.6e-07, 5.5e-07, 1.3e-06, 2.0e-06),
    (3, 4): (7.4e-07, 1.0e-06, 1.3e-06, 2.1e-06, 4.0e-06),
    (4, 4): (1.2e-06, 1.5e-06, 2.6e-06, 4.0e-06, 9.7e-06),
    (5, 4): (5.6e-06, 3.8e-06, 7.4e-06, 1.6e-05, 2.1e-05),
    (6, 4): (8.7e-06, 1.2e-05, 2.0e-05, 3.4e-05, 7.3e-05),
    (2, 5): (7.5e-07, 7.1e-07, 9.5e-07, 1.9e-06, 4.2e-06),
    (3, 5): (1.3e-06, 1.5e-06, 2.7e-06, 3.9e-06, 8.0e-06),
    (4, 5): (3.3e-06, 3.6e-06, 5.8e-06, 1.0e-05, 2.0e-05),
    (5, 5): (7.6e-06, 9.5e-06, 1.3e-05, 2.9e-05, 4.7e-05),
    (6, 5): (2.4e-05, 2.3e-05, 5.3e-05, 9.1e-05, 1.6e-04),
    (2, 6): (1.4e-06, 1.4e-06, 2.2e-06, 3.9e-06, 9.1e-06),
    (3, 6): (3.5e-06, 4.2e-06, 5.2e-06, 1.2e-05, 1.6e-05),
    (4, 6): (7.2e-06, 9.8e-06, 1.3e-05, 3.0e-05, 5.5e-05),
    (5, 6): (2.4e-05, 2.4e-05, 4.3e-05, 6.4e-05, 1.2e-04),
    (6, 6): (5.8e-05, 6.7e-05, 1.3e-04, 2.4e-04, 3.7e-04),
    (2, 7): (2.8e-06, 3.8e-06, 5.3e-06, 8.3e-06, 1.7e-05),
    (3, 7): (4.5e-06, 7.1e-06, 1.1e-05, 2.1e-05, 4.5e-05),
    (4, 7): (2.6e-05, 2.4e-05, 3.0e-05, 5.5e-05, 1.2e-04),
    (5, 7): (4.8e-05, 6.1e-05, 8.8e-05, 1.9e-04, 4.2e-04),
    (6, 7): (1.0e-04, 1.9e-04, 2.0e-04, 4.6e-04, 7.3e-04),
}
"""(m, r) → error at each of ``CHANNELS`` channels."""

DIRECT = (7.0e-08, 1.7e-07, 2.2e-07, 3.8e-07, 8.0e-07)
"""Error of a direct convolution at each of ``CHANNELS`` products an output."""


STRASSEN = (2.4e-07, 4.1e-07, 7.0e-07, 1.1e-06, 2.6e-06)
"""Error of a GEMM by Strassen's algorithm at each of ``CHANNELS`` products an output."""


def winograd_error(m: int, r: int, depth: int) -> float:
    """Predicted error of F(m, r) summed over ``depth`` channels, as a share of the layer's maximum."""
    if (m, r) not in WINOGRAD:
        raise InternalError(f"no measured error for F({m}, {r})")
    return _interpolate(WINOGRAD[m, r], depth)


def direct_error(terms: int) -> float:
    """Predicted error of a direct convolution of ``terms`` products an output, as a share of the maximum."""
    return _interpolate(DIRECT, terms)


def strassen_error(terms: int) -> float:
    """Predicted error of a GEMM by Strassen's algorithm, ``terms`` products an output, as a share of the maximum."""
    return _interpolate(STRASSEN, terms)


def _interpolate(row: tuple[float, ...], depth: int) -> float:
    """``row`` at ``depth`` channels: log-linear between its columns, constant below, growing as √depth above."""
    position = math.log(max(depth, CHANNELS[0]) / CHANNELS[0], 4)
    index = min(int(position), len(CHANNELS) - 2)
    share = position - index
    if share > 1:
        return float(row[-1] * math.sqrt(depth / CHANNELS[-1]))
    return float(row[index] ** (1 - share) * row[index + 1] ** share)


def measure_winograd(m: int, r: int, channels: int, seed: int) -> float:
    """The error of one layer of ``UNITS`` units by F(m, r)."""
    f = cook_toom(m, r)
    at, g, bt = (np.array(matrix, dtype=np.float64) for matrix in (f.at, f.g, f.bt))
    across = math.ceil(math.sqrt(OUTPUTS / UNITS) / m)
    x, weight = _layer(channels, across * m + r - 1, r, seed)
    tiles = sliding_window_view(x, (f.n, f.n), (1, 2))[:, ::m, ::m].reshape(channels, -1, f.n, f.n)
    u = (g @ weight.astype(np.float64) @ g.T).transpose(2, 3, 0, 1)

    def run(dtype: type) -> NDArray[np.floating]:
        v: NDArray[np.floating] = (bt.astype(dtype) @ tiles.astype(dtype) @ bt.T.astype(dtype)).transpose(2, 3, 1, 0)
        products = _sum_over_channels(v, u.astype(dtype))
        return at.astype(dtype) @ products.transpose(2, 3, 0, 1) @ at.T.astype(dtype)

    return _error(run(np.float32), run(np.float64))


def measure_direct(terms: int, seed: int) -> float:
    """The error of one layer of ``UNITS`` units whose outputs sum ``terms`` products each."""
    x, weight = _layer(terms, math.ceil(math.sqrt(OUTPUTS / UNITS)), 1, seed)
    rows, columns = x.reshape(terms, -1).T, weight.reshape(UNITS, terms)
    exact = rows.astype(np.float64) @ columns.astype(np.float64).T
    return _error(_sum_over_channels(rows, columns), exact)


def measure_strassen(terms: int, seed: int) -> float:
    """The error of the layer of :func:`measure_direct` by Strassen's algorithm, sums kept as the kernel keeps them."""
    x, weight = _layer(terms, math.ceil(math.sqrt(OUTPUTS / UNITS)), 1, seed)
    rows, columns = x.reshape(terms, -1).T, weight.reshape(UNITS, terms).T
    half = terms // 2
    left, right = np.split(columns.astype(np.float64), 2, axis=1)
    b = [operand.astype(np.float32).T for operand in pair_operands(left, right, half)]
    (a11, a12), (a21, a22) = (np.split(part, [half], axis=1) for part in np.split(rows, 2))
    s1 = a21 + a22
    s2 = s1 - a11
    product = _sum_over_channels(a11, b[0])
    u = _sum_over_channels(s2, b[2], product)
    v = _sum_over_channels(a11 - a21, b[3], u)
    w = _sum_over_channels(s1, b[5])
    upper = [_sum_over_channels(a12, b[1], product), _sum_over_channels(a12 - s2, b[6], w + u)]
    actual = np.block([upper, [_sum_over_channels(a22, b[4], v), w + v]])
    return _error(actual, rows.astype(np.float64) @ columns.astype(np.float64))


def _layer(channels: int, size: int, r: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    x = np.maximum(rng.standard_normal((channels, size, size)), 0).astype(np.float32)
    scale = math.sqrt(2 / (channels * r * r))
    return x, (rng.standard_normal((UNITS, channels, r, r)) * scale).astype(np.float32)


def _sum_over_channels(
    v: NDArray[np.floating], u: NDArray[np.floating], start: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """``[…, t, k] = start + Σ_c v[…, t, c] · u[…, k, c]``, one channel after another, rounded each time."""
    total = np.zeros((*v.shape[:-1], u.shape[-2]), v.dtype) if start is None else start.copy()
    for c in range(v.shape[-1]):
        total += v[..., c, None] * u[..., None, :, c]
    return total


def _error(actual: NDArray[np.floating], exact: NDArray[np.floating]) -> float:
    return float(np.abs(actual - exact).max() / np.abs(exact).max())


def _print_table() -> None:
    print("WINOGRAD: dict[tuple[int, int], tuple[float, ...]] = {")
    for r in range(2, 8):
        for m in range(2, min(7, LARGEST_TILE - r + 2)):
            worst = [max(measure_winograd(m, r, c, seed) for seed in range(SEEDS)) for c in CHANNELS]
            print(f"    ({m}, {r}): ({', '.join(f'{error:.1e}' for error in worst)}),")
    print("}")
    print('"""(m, r) → error at each of ``CHANNELS`` channels."""\n')
    worst = [max(measure_direct(c, seed) for seed in range(SEEDS)) for c in CHANNELS]
    print(f"DIRECT = ({', '.join(f'{error:.1e}' for error in worst)})")
    print('"""Error of a direct convolution at each of ``CHANNELS`` products an output."""\n')
    worst = [max(measure_strassen(c, seed) for seed in range(SEEDS)) for c in CHANNELS]
    print(f"STRASSEN = ({', '.join(f'{error:.1e}' for error in worst)})")
    print('"""Error of a GEMM by Strassen\'s algorithm at each of ``CHANNELS`` products an output."""')


if __name__ == "__main__":
    _print_table()
