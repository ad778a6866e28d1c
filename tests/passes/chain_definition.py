"""What ``nincc.gemm_chain`` computes, from its packed weights: each layer's own weights, found again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nincc.kernels.chain_spec import ChainLayer, chain_spec

Array = np.ndarray[Any, Any]


def chain_layers(
    shape: tuple[int, ...], weight: Array, bias: Array, attrs: dict[str, Any]
) -> Iterator[tuple[Array, Array, ChainLayer]]:
    """([units, K], [units], the layer) of each layer; whatever Strassen's weights say twice must agree."""
    for layer in chain_spec(shape, attrs).layers:
        rows, weight = np.split(weight, [layer.weight_rows])
        added, bias = np.split(bias, [layer.panels * layer.panel])
        added = added.reshape(-1, layer.panel).copy()
        panels: list[Array] = []
        for group in layer.groups:
            for part in np.split(rows[group.before :][: group.count * group.rows], group.count):
                panels += _pair(part, layer) if group.is_pair else [part]
            if group.is_pair:
                added[1 : group.count * 2 : 2] += added[: group.count * 2 : 2]
        matrix = np.concatenate(panels, axis=1).T
        assert not matrix[layer.units :].any() and not added.reshape(-1)[layer.units :].any()
        yield matrix[: layer.units], added.reshape(-1)[: layer.units], layer
    assert not len(weight) and not len(bias)


def _pair(rows: Array, layer: ChainLayer) -> list[Array]:
    """The two panels ``[K, panel]`` of a pair's seven operands."""
    b11, b21, t2, t3, minus_t4, t1, b22 = np.split(rows, np.cumsum(layer.depths)[:-1])
    b12 = t1 + b11
    whole = np.zeros_like(b12)
    whole[: len(b22)] = b22
    for said, again in ((t2, whole - t1), (t3, whole - b12), (minus_t4, b21 - t2[: len(b21)])):
        np.testing.assert_allclose(said, again, rtol=0, atol=1e-6 * max(1e-30, float(np.abs(rows).max())))
    return [np.concatenate([b11, b21]), np.concatenate([b12, b22])]
