"""Certificates survive JSON and read well."""

from __future__ import annotations

import json
import math

import pytest

from nincc.errors import VerificationError
from nincc.verify.certificate import Certificate, TensorError, rounded, rounded_up
from nincc.verify.compare import Difference


def make(**changes):
    values = {
        "verdict": "pass",
        "references": ("one", "two"),
        "inputs": 2,
        "input_kinds": ("normal", "zeros"),
        "outputs": (TensorError("prob", "normal", 2e-7, 1e-8, 0.9, 1e-5),),
        "passing_rtol": 3e-7,
        "passing_atol": 2e-7,
        "blocks": (TensorError("relu2", "normal", 1e-6, 1e-7, 4.0, 8.1e-5),),
        "notes": ("said once",),
    }
    return Certificate(**(values | changes))


def test_a_way_through_json():
    certificate = make()
    assert Certificate.from_dict(json.loads(json.dumps(certificate.to_dict(), allow_nan=False))) == certificate


def test_infinite_errors_are_null_in_json():
    error = TensorError.of("prob", "large", Difference(math.inf, math.inf, 1.0, 1e-5))
    assert error.max_abs_error is None
    assert not error.passed
    certificate = make(verdict="fail", guilty="passes or kernels", outputs=(error,), passing_rtol=None)
    assert "null" in json.dumps(certificate.to_dict(), allow_nan=False)
    assert certificate.max_abs_error is None


def test_the_largest_error_of_all_outputs():
    outputs = (TensorError("a", "normal", 1e-7, 0.0, 1.0, 1e-5), TensorError("b", "zeros", 3e-7, 0.0, 1.0, 1e-5))
    assert make(outputs=outputs).max_abs_error == 3e-7


def test_the_complaint_is_one_line_with_a_way_out():
    outputs = (TensorError("good", "normal", 0.0, 0.0, 1.0, 1e-5), TensorError("bad", "normal", 0.5, 0.1, 2.0, 4e-5))
    certificate = make(verdict="fail", guilty="passes or kernels", outputs=outputs, passing_rtol=0.25)
    with pytest.raises(VerificationError) as caught:
        certificate.require_pass("model.onnx")
    assert str(caught.value) == (
        "model.onnx: wrong result: output 'bad' is off by 0.5 (limit 4e-05); guilty: passes or kernels; "
        "--rtol 0.25 would pass; please report the model"
    )


def test_what_may_be_rounding_names_the_option_that_rounds_less():
    outputs = (TensorError("prob", "large", 5.3e-5, 1e-7, 1.0, 5.1e-5),)
    certificate = make(verdict="fail", guilty="passes or kernels", outputs=outputs, passing_rtol=5.31e-5)
    with pytest.raises(VerificationError, match="compile with --error-budget 1e-6, and if that fails too"):
        certificate.require_pass("model.onnx")


def test_a_guilty_frontend_is_shown_by_the_references():
    certificate = make(
        verdict="fail", guilty="frontend", reference_agreement=(TensorError("prob", "normal", 0.3, 0.1, 1.0, 1e-5),)
    )
    with pytest.raises(VerificationError, match=r"'prob' is off by 0\.3"):
        certificate.require_pass("model.onnx")


@pytest.mark.parametrize(
    ("value", "near", "above"),
    [
        (1.23456e-7, 1.23e-7, 1.24e-7),
        (0.0, 0.0, 0.0),
        (2.0, 2.0, 2.0),
        (math.inf, None, None),
        (math.nan, None, None),
    ],
)
def test_rounding(value, near, above):
    assert rounded(value) == near
    assert rounded_up(value) == above
