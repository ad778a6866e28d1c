"""nincc.macs: counts from the graph, on small graphs whose counts are worked out by hand."""

from __future__ import annotations

import onnx.parser
import pytest

from nincc.errors import ModelError
from nincc.macs import LayerCount, count_layers, total_macs, total_parameters

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'


def count(graph: str) -> list[LayerCount]:
    return count_layers(onnx.parser.parse_model(HEADER + graph))


def test_grouped_strided_convolution() -> None:
    (layer,) = count(
        """agraph (float[2, 4, 9, 9] x, float[6, 2, 3, 3] w) => (float[2, 6, 4, 4] y)
        { y = Conv <group = 2, strides = [2, 2]> (x, w) }"""
    )
    assert layer.output_shape == (2, 6, 4, 4)
    assert layer.macs == 2 * 6 * 4 * 4 * 2 * 3 * 3
    assert layer.parameters == 0  # the weight is a graph input, not an initializer


@pytest.mark.parametrize(("transposed", "shape"), [(0, "[3, 5]"), (1, "[5, 3]")])
def test_gemm_counts_the_reduction_whichever_way_it_lies(transposed: int, shape: str) -> None:
    (layer,) = count(
        f"""agraph (float{shape} x, float[5, 7] w) => (float[3, 7] y)
        {{ y = Gemm <transA = {transposed}> (x, w) }}"""
    )
    assert layer.macs == 3 * 5 * 7


def test_batched_matmul_with_weights() -> None:
    layers = count(
        """agraph (float[2, 3, 4] x) => (float[2, 3, 2] y)
        <float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}> { y = MatMul (x, w) }"""
    )
    assert total_macs(layers) == 2 * 3 * 4 * 2
    assert total_parameters(layers) == 8


def test_weights_read_twice_count_once_and_shapes_are_no_parameters() -> None:
    layers = count(
        """agraph (float[1, 2] x) => (float[2, 1] z)
        <float[2] b = {1, 2}, int64[2] shape = {2, 1}>
        { y = Add (x, b)  y2 = Add (y, b)  z = Reshape (y2, shape) }"""
    )
    assert [layer.parameters for layer in layers] == [2, 0, 0]
    assert [layer.macs for layer in layers] == [0, 0, 0]


def test_dynamic_shape_names_the_node() -> None:
    with pytest.raises(ModelError, match="static.*") as caught:
        count("agraph (float[N, 4] x) => (float[N, 4] y) { y = Relu (x) }")
    assert "Relu" in str(caught.value) and "'x'" not in str(caught.value).split("(")[0]
