"""The weights of a chain of GEMMs in the order in which its kernel reads them.  Numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nincc.kernels.chain_spec import ChainLayer
from nincc.kernels.pack_weights import Floats

Doubles = NDArray[np.float64]


def pack_chain(weights: Sequence[NDArray[np.floating]], layers: Sequence[ChainLayer]) -> Floats:
    """``[units, K]`` of each layer → ``[rows, panel]``: one layer after another, sums taken in float64."""
    return np.concatenate([_pack_layer(weight, layer) for weight, layer in zip(weights, layers, strict=True)])


def pack_chain_bias(biases: Sequence[NDArray[np.floating]], layers: Sequence[ChainLayer]) -> Floats:
    """``[units]`` of each layer → one after another in whole panels.

    A pair's second panel holds the difference to its first: the products that both share bring that one's along.
    """
    packed = []
    for bias, layer in zip(biases, layers, strict=True):
        padded = np.zeros((layer.panels, layer.panel))
        padded.reshape(-1)[: layer.units] = bias
        paired = padded[: 2 * layer.pairs]
        paired[1::2] -= paired[::2]
        packed.append(padded.reshape(-1).astype(np.float32))
    return np.concatenate(packed)


def _pack_layer(weight: NDArray[np.floating], layer: ChainLayer) -> Floats:
    padded = np.zeros((layer.depth, layer.panels, layer.panel))
    padded.reshape(layer.depth, -1)[:, : layer.units] = weight.T
    panels = padded.transpose(1, 0, 2)
    paired, plain = panels[: 2 * layer.pairs], panels[2 * layer.pairs :]
    rows: list[Doubles] = []
    for left, right in zip(paired[::2], paired[1::2], strict=True):
        rows += pair_operands(left, right, layer.half)
    return np.concatenate([*rows, *plain]).astype(np.float32)


def pair_operands(left: Doubles, right: Doubles, first: int) -> list[Doubles]:
    """The weights' side of the seven products, in order of use, for a pair of panels ``[K, panel]``.

    ``first`` channels make the first half; a second half that is shorter counts as padded by zeros, and products
    that it makes shorter are.
    """
    b11, b12, b21, b22 = left[:first], right[:first], left[first:], right[first:]
    whole = np.zeros_like(b12)
    whole[: len(b22)] = b22
    t1 = b12 - b11
    t2 = whole - t1
    return [b11, b21, t2, whole - b12, b21 - t2[: len(b21)], t1, b22]
