"""Right nets pass; planted errors are found and blamed on the right stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nincc._tvm import tvm
from nincc.errors import VerificationError
from nincc.frontend import to_relay
from nincc.frontend.maps import with_class_maps
from nincc.verify.inputs import InputSet
from nincc.verify.judge import VerifyOptions, verify_net
from tests.verify.small_nets import Net, as_net, perturbed, small_proto, with_module_of


@pytest.fixture
def net(tmp_path):
    return as_net(small_proto(), tmp_path / "small.onnx")


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_a_right_library_passes(tmp_path, softmax, gain):
    net = as_net(small_proto(softmax, gain), tmp_path / "small.onnx")
    certificate = verify_net(net.library, net.model, net.module)
    assert certificate.passed
    assert certificate.guilty is None
    certificate.require_pass("small")
    assert certificate.input_kinds == ("normal", "uniform", "zeros", "large")
    assert len(certificate.references) == 2
    assert certificate.max_abs_error < 1e-4
    if gain < 1:
        assert certificate.gain > 1  # the logits of so small a net hardly differ


@pytest.mark.parametrize("weight", ["w1", "b1", "w2", "b2"])
@pytest.mark.parametrize("softmax", [False, True])
def test_a_perturbed_weight_is_the_passes_or_kernels(tmp_path, weight, softmax):
    """The library was made from other numbers than the graph that was imported."""
    proto = small_proto(softmax)
    net = as_net(proto, tmp_path / "small.onnx")
    wrong = as_net(perturbed(proto, weight, 0.01), tmp_path / "wrong.onnx")
    certificate = verify_net(wrong.library, net.model, net.module)
    assert certificate.guilty == "passes or kernels"
    with pytest.raises(VerificationError, match="wrong result: output .* guilty: passes or kernels") as caught:
        certificate.require_pass("small.onnx")
    assert caught.value.exit_code == 3


def test_a_wrong_pass_is_found(net):
    """A pass that lost the ReLU before the second convolution."""
    relay = tvm.relay

    class DropRelu(relay.ExprMutator):
        def visit_call(self, call):
            if call.op.name == "nn.relu":
                return self.visit(call.args[0])
            return super().visit_call(call)

    wrong = DropRelu().visit(net.module["main"])
    broken = replace(net, module=tvm.IRModule.from_expr(wrong))
    assert verify_net(broken.library, net.model, net.module).guilty == "passes or kernels"


def test_a_wrong_frontend_is_found(net, tmp_path):
    """The library does what the imported graph says, but the graph is not what the file says."""
    misread = with_module_of(net, as_net(perturbed(small_proto(), "w1", 0.1), tmp_path / "other.onnx"))
    certificate = verify_net(misread.library, misread.model, misread.module)
    assert not certificate.passed
    assert certificate.guilty == "frontend"
    with pytest.raises(VerificationError, match="guilty: frontend"):
        certificate.require_pass("small.onnx")


def test_both_wrong(net, tmp_path):
    misread = with_module_of(net, as_net(perturbed(small_proto(), "w1", 0.1), tmp_path / "other.onnx"))
    third = as_net(perturbed(small_proto(), "w2", 0.2), tmp_path / "third.onnx")
    certificate = verify_net(third.library, misread.model, misread.module)
    assert certificate.guilty == "frontend, and passes or kernels"


def test_a_wrong_evaluator_is_found(net, tmp_path):
    """Library and ONNX Runtime agree; only reference 2 does not."""
    misread = with_module_of(net, as_net(perturbed(small_proto(), "w1", 0.1), tmp_path / "other.onnx"))
    assert verify_net(net.library, misread.model, misread.module).guilty == "evaluator"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_fail(net, bad):
    def run(arrays):
        (output,) = net.library(arrays)
        output[1, 3] = bad
        return (output,)

    certificate = verify_net(run, net.model, net.module, options=VerifyOptions(rtol=1e9))
    assert certificate.guilty == "passes or kernels"
    assert certificate.max_abs_error is None
    assert certificate.passing_rtol is None
    with pytest.raises(VerificationError, match="holds NaN or infinity.*no tolerance would pass"):
        certificate.require_pass("small.onnx")


def test_a_model_that_overflows_is_to_blame_itself(tmp_path):
    net = as_net(small_proto(gain=1e25), tmp_path / "huge.onnx")
    inputs = [InputSet("mine", (np.full((2, 3, 8, 8), 1e3, np.float32),))]
    with np.errstate(over="ignore"):
        assert verify_net(net.library, net.model, net.module, inputs).guilty == "model"


def test_an_error_on_one_input_only(net):
    """A kernel that forgets to clear its accumulator is right on all but the zeros."""

    def run(arrays):
        (output,) = net.library(arrays)
        return (output if arrays[0].any() else output + 1,)

    certificate = verify_net(run, net.model, net.module)
    assert certificate.guilty == "passes or kernels"
    assert certificate.outputs[0].max_abs_error == pytest.approx(1, rel=1e-3)
    assert certificate.outputs[0].input == "zeros"


def test_asking_for_more_than_float32_can_give_blames_the_tolerance(net):
    certificate = verify_net(net.library, net.model, net.module, options=VerifyOptions(rtol=1e-12))
    assert certificate.guilty == "tolerance"
    with pytest.raises(VerificationError, match="not within the one that was asked for; --rtol .* would pass$"):
        certificate.require_pass("small.onnx")


def test_the_passing_tolerance_passes_and_the_next_smaller_one_does_not(net, tmp_path):
    wrong = as_net(perturbed(small_proto(), "w1", 0.01), tmp_path / "wrong.onnx")
    found = verify_net(wrong.library, net.model, net.module)
    for key in ("rtol", "atol"):
        enough = getattr(found, f"passing_{key}")
        judged = [
            verify_net(wrong.library, net.model, net.module, options=VerifyOptions(**{key: enough * factor}))
            for factor in (1, 0.98)
        ]
        assert [one.passed for one in judged] == [True, False]


def test_a_dynamic_batch_is_pinned_by_what_is_fed(tmp_path):
    net = as_net(small_proto(batch="N"), tmp_path / "dynamic.onnx", batch=3)
    certificate = verify_net(net.library, net.model, net.module)
    assert certificate.passed
    assert len(certificate.references) == 2


def test_without_onnxruntime_the_note_says_so(net):
    net.model.path.write_bytes(b"not a model")
    certificate = verify_net(net.library, net.model, net.module)
    assert certificate.passed
    assert certificate.references == ("float64 evaluation of the imported graph",)
    assert "ONNX Runtime cannot run it" in certificate.notes[0]


def test_an_output_that_the_file_lacks_is_judged_by_float64(net):
    """``--keep-maps`` adds one; ONNX Runtime still judges the others."""
    model = with_class_maps(net.model)
    more = Net(model, to_relay(model))
    certificate = verify_net(more.library, more.model, more.module)
    assert certificate.passed
    assert [error.name for error in certificate.outputs] == ["logits", "block2"]
    assert [error.name for error in certificate.reference_agreement] == ["logits"]


def test_the_same_seed_gives_the_same_certificate(net):
    first, second = (verify_net(net.library, net.model, net.module) for _ in range(2))
    assert first == second
    other = verify_net(net.library, net.model, net.module, options=VerifyOptions(seed=1))
    assert other.seed == 1
