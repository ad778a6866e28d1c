"""The weights of a chain of GEMMs in the order in which its kernel reads them.  Numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nincc.kernels.chain_spec import ChainLayer, Group
from nincc.kernels.pack_weights import Floats

Doubles = NDArray[np.float64]


def pack_chain(weights: Sequence[NDArray[np.floating]], layers: Sequence[ChainLayer]) -> Floats:
    """``[units, K]`` of each layer → ``[rows, panel]``: one layer after another, sums taken in float64."""
    return np.concatenate([_pack_layer(weight, layer) for weight, layer in zip(weights, layers, strict=True)])


def pack_chain_bias(biases: Sequence[NDArray[np.floating]], layers: Sequence[ChainLayer]) -> Floats:
    """``[units]`` of each layer → one after another in whole panels.

    A pair's second side holds the difference to its first: the products that both share bring that one's along.
    """
    packed = []
    for bias, layer in zip(biases, layers, strict=True):
        padded = np.zeros(layer.panels * layer.panel)
        padded[: layer.units] = bias
        for group in layer.groups:
            if group.is_pair:
                start, end = (group.first + group.panels * count for count in (0, group.count))
                sides = padded[start * layer.panel : end * layer.panel].reshape(-1, 2, group.vectors * layer.lanes)
                sides[:, 1] -= sides[:, 0]
        packed.append(padded.astype(np.float32))
    return np.concatenate(packed)


def _pack_layer(weight: NDArray[np.floating], layer: ChainLayer) -> Floats:
    padded = np.zeros((layer.depth, layer.panels * layer.panel))
    padded[:, : layer.units] = weight.T
    rows = [_pack_group(padded, layer, group, number) for group in layer.groups for number in range(group.count)]
    return np.concatenate(rows).astype(np.float32)


def _pack_group(weight: Doubles, layer: ChainLayer, group: Group, number: int) -> Doubles:
    """``[K, channels]`` → the rows of one panel or pair of a group."""
    start = (group.first + number * group.panels) * layer.panel
    columns = weight[:, start : start + group.panels * layer.panel]
    if not group.is_pair:
        return columns
    left, right = np.split(columns, 2, axis=1)
    operands = np.concatenate(pair_operands(left, right, layer.half)).ravel()
    rows = np.zeros((group.rows, layer.panel))
    rows.reshape(-1)[: operands.size] = operands
    return rows


def pair_operands(left: Doubles, right: Doubles, first: int) -> list[Doubles]:
    """The weights' side of the seven products, in order of use, for the sides ``[K, width]`` of a pair.

    ``first`` channels make the first half; a second half that is shorter counts as padded by zeros, and products
    that it makes shorter are.
    """
    b11, b12, b21, b22 = left[:first], right[:first], left[first:], right[first:]
    whole = np.zeros_like(b12)
    whole[: len(b22)] = b22
    t1 = b12 - b11
    t2 = whole - t1
    return [b11, b21, t2, whole - b12, b21 - t2[: len(b21)], t1, b22]
