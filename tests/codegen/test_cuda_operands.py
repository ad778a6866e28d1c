"""The least that memory must move for a launch, by a program's buffers."""

from __future__ import annotations

from codegen.gpu_net import gpu_program
from nincc.codegen.cuda.operands import LeastTraffic, least_traffic
from nincc.codegen.program import Buffer, Launch, Program, Step
from nincc.tensor import TensorSpec

ONE = Launch((1, 1, 1), (32, 1, 1))
SPEC = TensorSpec("t", (16,))


def test_inputs_and_constants_are_read_and_the_first_to_name_another_buffer_writes_it() -> None:
    assert least_traffic(gpu_program()) == (LeastTraffic(2 + 1, 2), LeastTraffic(2, 1))


def test_partial_sums_count_as_the_one_map_that_they_are() -> None:
    buffers = (
        Buffer("input", 0, 640),
        Buffer("constant", 0, 96),
        Buffer("workspace", 0, 5 * 320),  # five partial sums of a map
        Buffer("constant", 128, 33),
        Buffer("output", 0, 64),
    )
    steps = (
        Step("split", (0, 1, 2), "conv", "nincc.cuda_mlpconv", 0, {"partials": 0, "splits": (5, 1)}, ONE),
        Step("joined", (3, 2, 4), "gemm", "nincc.cuda_mlpconv", 0, {"partials": 5, "splits": (1, 1)}, ONE),
    )
    program = Program((SPEC,), (SPEC,), buffers, steps, b"", 1600, 1)
    assert least_traffic(program) == (LeastTraffic(20 + 3, 10), LeastTraffic(2 + 10, 2))


def test_what_a_launch_leaves_another_of_its_layer_is_written_and_then_read() -> None:
    buffers = (Buffer("input", 0, 64), Buffer("workspace", 0, 128), Buffer("output", 0, 32))
    steps = (Step("k_0", (0, 1), "", "softmax", 0, {}, ONE), Step("k_1", (1, 0, 2), "", "softmax", 0, {}, ONE))
    program = Program((SPEC,), (SPEC,), buffers, steps, b"", 128, 1)
    assert least_traffic(program) == (LeastTraffic(2, 4), LeastTraffic(4 + 2, 1))
