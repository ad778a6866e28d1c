"""Winograd's weights: transformed in float64 and laid out in the order in which the kernel walks them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nincc.kernels.cook_toom import cook_toom
from nincc.kernels.pack_weights import Floats
from nincc.kernels.winograd_spec import Winograd

Doubles = NDArray[np.float64]


def pack_winograd(weight: NDArray[np.floating], plan: Winograd) -> Floats:
    """OIHW ``[units, C, k, k]`` → ``[panels · n², depth, panel]`` float32, rounded once, after the transform.

    Panels come in the order (block of units, element, panel of the block), elements column by column: the kernel reads
    them in one sweep.
    """
    phases = split_phases(weight.astype(np.float64), plan)
    units, depth = phases.shape[:2]
    g = np.array(cook_toom(plan.m, plan.r).g, dtype=np.float64)
    transformed = np.zeros((plan.elements, plan.panels * plan.panel, depth), np.float32)
    transformed[:, :units] = (g @ phases @ g.T).swapaxes(2, 3).reshape(units, depth, -1).transpose(2, 0, 1)
    panels = transformed.reshape(plan.elements, plan.panels, plan.panel, depth).transpose(1, 0, 3, 2)
    blocks = [
        panels[first : first + plan.block_panels].transpose(1, 0, 2, 3).reshape(-1, depth, plan.panel)
        for first in range(0, plan.panels, plan.block_panels)
    ]
    return np.ascontiguousarray(np.concatenate(blocks))


def split_phases(weight: Doubles, plan: Winograd) -> Doubles:
    """OIHW ``[units, C, k, k]`` → ``[units, depth, r, r]``: the taps of each phase of a strided convolution."""
    s, r = plan.phases, plan.r
    if s == 1:
        return weight
    units, channels, taps, _ = weight.shape
    padded = np.zeros((units, channels, r * s, r * s))
    padded[:, :, :taps, :taps] = weight
    split = padded.reshape(units, -1, r, s, r, s).transpose(0, 3, 5, 1, 2, 4)
    return split.reshape(units, plan.depth, r, r)
