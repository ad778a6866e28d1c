"""Judging an artefact on disk."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest

import nincc
from nincc.errors import UsageError
from nincc.verify import verify_artefact
from tests.artefacts import small
from tests.verify.small_nets import perturbed, small_proto


def test_against_its_model():
    compiled = small()
    certificate = verify_artefact(compiled.folder, compiled.model, threads=2)
    assert certificate.passed
    assert certificate.notes == ()
    assert [error.name for error in certificate.outputs] == ["prob", "block2"]
    assert certificate.input_kinds == ("normal", "uniform", "zeros", "large")


def test_by_its_selftest():
    certificate = verify_artefact(small().folder)
    assert certificate.passed
    assert certificate.input_kinds == ("selftest",)
    assert 0 <= certificate.max_abs_error <= certificate.outputs[0].limit


def test_the_package_itself_can_be_called():
    assert nincc.verify(small().folder).passed


def test_on_inputs_of_ones_own(tmp_path):
    compiled = small()
    np.savez(tmp_path / "mine.npz", x=np.ones((2, 3, 8, 8), np.float32))
    certificate = verify_artefact(compiled.folder, compiled.model, inputs=tmp_path / "mine.npz")
    assert certificate.passed
    assert certificate.input_kinds == ("mine.npz",)
    assert certificate.seed is None


def test_another_model_of_the_same_shape_is_found_out(tmp_path):
    other = tmp_path / "other.onnx"
    onnx.save(perturbed(small_proto(softmax=True), "w1", 0.5), other)
    certificate = verify_artefact(small().folder, other)
    assert certificate.guilty == "passes or kernels"
    assert "not the one this artefact was compiled from" in certificate.notes[-1]


def test_a_model_of_another_shape_is_refused(tmp_path):
    other = tmp_path / "other.onnx"
    onnx.save(small_proto(softmax=False), other)
    with pytest.raises(UsageError, match=r"outputs are logits \[2, 5\].*prob \[2, 5\].*compiled from"):
        verify_artefact(small().folder, other)


def test_what_needs_a_model():
    for options in ({"inputs": "x.npz"}, {"rtol": 1e-3}, {"atol": 1e-3}):
        with pytest.raises(UsageError, match="need a model.*--model"):
            verify_artefact(small().folder, **options)


def test_a_library_with_a_damaged_weight_fails_its_selftest(tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(small().folder, folder)
    library = folder / "libsmall.so"
    bias = next(onnx.numpy_helper.to_array(t) for t in onnx.load(small().model).graph.initializer if t.name == "b1")
    content = library.read_bytes()
    assert content.count(bias.tobytes()) == 1
    library.write_bytes(content.replace(bias.tobytes(), (bias + 1).tobytes()))
    certificate = verify_artefact(folder)
    assert certificate.guilty == "library"
    assert "results differ by" in certificate.notes[0]
    assert verify_artefact(folder, small().model).guilty == "passes or kernels"


def test_a_folder_that_is_no_artefact(tmp_path):
    with pytest.raises(UsageError, match="no artefact"):
        verify_artefact(tmp_path)
