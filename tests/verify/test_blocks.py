"""Errors per block."""

from __future__ import annotations

from nincc.frontend import block_ends, to_relay, with_outputs
from nincc.verify.blocks import block_errors
from nincc.verify.inputs import generated_inputs
from tests.verify.small_nets import Net, as_net, perturbed, small_proto


def with_blocks(net: Net) -> Net:
    model = with_outputs(net.model, block_ends(net.model))
    return Net(model, to_relay(model))


def test_each_block_has_its_own_error(tmp_path):
    """A change in the second convolution shows in the second block, not in the first."""
    right = with_blocks(as_net(small_proto(), tmp_path / "right.onnx"))
    wrong = with_blocks(as_net(perturbed(small_proto(), "w2", 0.5), tmp_path / "wrong.onnx"))
    (inputs,) = generated_inputs(right.model.inputs, kinds=("normal",))
    first, second = block_errors(right.model, right.module, block_ends(right.model), inputs, wrong.library)
    assert (first.name, second.name) == ("block1", "block2")
    assert first.passed
    assert first.max_abs_error < 1e-6
    assert not second.passed
    assert second.max_abs_error > 0.1
    assert second.largest > 1
