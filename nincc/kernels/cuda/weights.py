"""All weights and biases of a launch as one run of floats, in the order in which its threads read them.  Numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.stage import Stage

Floats = NDArray[np.float32]
Array = NDArray[np.floating]


def pack_launch(plan: Plan, layers: Sequence[tuple[Array, Array]], source_bias: Array | None = None) -> Floats:
    """The ``layers``' (weight OIHW or [units, K], bias [units]) as ``plan`` reads them.

    ``source_bias`` is the bias of the layer whose partial sums the launch reads.
    """
    parts = []
    if plan.partials:
        assert source_bias is not None
        parts.append(_padded(source_bias, plan.source_bias))
    for stage, (weight, bias) in zip(plan.stages, layers, strict=True):
        parts += [_matrix(plan, stage, weight).reshape(-1), _padded(bias, stage.width)]
    return np.concatenate(parts).astype(np.float32)


def _padded(bias: Array, width: int) -> Array:
    return np.pad(bias, (0, width - len(bias)))


def _matrix(plan: Plan, stage: Stage, weight: Array) -> Array:
    """[taps * depth, width]: a tap's channels, or the columns (channel, kernel row, kernel column), padded with
    zeros.
    """
    units = len(weight)
    if weight.ndim == 2:
        rows = weight[:, None, :]
    elif stage is plan.first and plan.gather == "columns":
        rows = weight.reshape(units, 1, -1)
    else:
        rows = weight.transpose(0, 2, 3, 1).reshape(units, -1, weight.shape[1])
    padded = np.zeros((stage.width, rows.shape[1], stage.depth), np.float64)
    padded[:units, :, : rows.shape[2]] = rows
    return padded.reshape(stage.width, -1).T
