"""Winograd convolution by its definition, in float64, from the packed weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from nincc.kernels.cook_toom import cook_toom
from nincc.kernels.winograd_spec import Winograd

Array = np.ndarray[Any, Any]


def winograd(data: Array, packed: Array, plan: Winograd) -> Array:
    """NCHW ``data`` (already pooled) convolved to [N, units, OH, OW]: phases, tiles, Aᵀ[U ∘ BᵀdB]A."""
    matrices = cook_toom(plan.m, plan.r)
    at, bt = (np.array(matrix, np.float64) for matrix in (matrices.at, matrices.bt))
    phases = _phases(data, plan)
    transformed = _element_weights(packed, plan)
    height, width = plan.conv.out_size
    rows, cols = plan.grid
    out = np.zeros((len(data), plan.conv.units, rows * plan.m, cols * plan.m))
    for row in range(rows):
        for col in range(cols):
            y, x = row * plan.m, col * plan.m
            tile = phases[:, :, y : y + plan.n, x : x + plan.n]
            product = np.einsum("uckl,nckl->nukl", transformed, bt @ tile @ bt.T)
            out[:, :, y : y + plan.m, x : x + plan.m] = at @ product @ at.T
    return out[:, :, :height, :width]


def _phases(data: Array, plan: Winograd) -> Array:
    """Zero-padded, with the pixels of each phase as channels (by · s + bx) · C + c."""
    top, left, _, _ = plan.conv.padding
    s = plan.phases
    rows, cols = (extent * s for extent in plan.map_size)
    padded = np.zeros((*data.shape[:2], rows + top + data.shape[2], cols + left + data.shape[3]))
    padded[:, :, top : top + data.shape[2], left : left + data.shape[3]] = data
    parts = [padded[:, :, by : by + rows : s, bx : bx + cols : s] for by in range(s) for bx in range(s)]
    return np.concatenate(parts, axis=1)


def _element_weights(packed: Array, plan: Winograd) -> Array:
    """[panels · n², depth, panel] → [units, depth, n, n], block of units after block, elements column by column."""
    blocks, first = [], 0
    for start in range(0, plan.panels, plan.block_panels):
        count = min(plan.block_panels, plan.panels - start)
        part = packed[first : first + count * plan.elements]
        first += count * plan.elements
        split = part.reshape(plan.elements, count, plan.depth, plan.panel)
        blocks.append(split.transpose(1, 3, 2, 0).reshape(count * plan.panel, plan.depth, plan.n, plan.n))
    assert first == len(packed)
    return np.concatenate(blocks)[: plan.conv.units].swapaxes(2, 3)
