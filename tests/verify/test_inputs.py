"""Generated inputs and the user's own."""

from __future__ import annotations

import numpy as np
import pytest

from nincc.errors import UsageError
from nincc.tensor import TensorSpec
from nincc.verify.inputs import gain_for, generated_inputs, logit_spread, read_inputs

SPECS = (TensorSpec("a", (2, 3)), TensorSpec("b", (4,)))


def test_kinds_and_shapes():
    sets = {one.kind: one.arrays for one in generated_inputs(SPECS)}
    assert list(sets) == ["normal", "uniform", "zeros", "large"]
    for arrays in sets.values():
        assert [array.shape for array in arrays] == [(2, 3), (4,)]
        assert all(array.dtype == np.float32 for array in arrays)
    assert not sets["zeros"][0].any()
    assert sets["uniform"][0].min() >= 0 and sets["uniform"][0].max() <= 1
    assert 1 < np.abs(sets["large"][0]).max() <= 128


def test_a_seed_gives_the_same_numbers_whatever_else_is_asked():
    first, again, other = generated_inputs(SPECS), generated_inputs(SPECS), generated_inputs(SPECS, seed=1)
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one.arrays[0], two.arrays[0])
        assert one.kind == "zeros" or not np.array_equal(one.arrays[0], three.arrays[0])
    (alone,) = generated_inputs(SPECS, kinds=("normal",))
    np.testing.assert_array_equal(alone.arrays[1], first[0].arrays[1])


def test_gain_amplifies_the_normal_and_uniform_sets():
    plain, loud = generated_inputs(SPECS), generated_inputs(SPECS, gain=8.0)
    factors = [8, 8, 1, 1]
    for one, two, factor in zip(plain, loud, factors, strict=True):
        np.testing.assert_array_equal(one.arrays[0] * np.float32(factor), two.arrays[0])


@pytest.mark.parametrize(
    ("logits", "gain"),
    [([0.0, 3.0], 1.0), ([0.0, 0.5], 4.0), ([0.0, 1e-9], 1024.0), ([2.0, 2.0], 1.0), ([0.0, np.inf], 1.0)],
)
def test_gain(logits, gain):
    assert gain_for([np.array([logits])]) == gain


def test_the_spread_of_probabilities_is_that_of_their_logits():
    logits = np.array([[0.0, 1.0, 2.0, 4.0]])
    powers = np.exp(logits)
    assert logit_spread(powers / powers.sum()) == pytest.approx(logits.std())


def test_reading_inputs(tmp_path):
    a, b = np.ones((2, 3), np.float32), np.zeros(4, np.float32)
    np.savez(tmp_path / "in.npz", b=b, a=a)
    found = read_inputs(tmp_path / "in.npz", SPECS)
    np.testing.assert_array_equal(found.arrays[0], a)
    np.testing.assert_array_equal(found.arrays[1], b)


def test_a_single_input_may_have_any_name(tmp_path):
    np.savez(tmp_path / "in.npz", np.ones((2, 3), np.float32))
    assert read_inputs(tmp_path / "in.npz", SPECS[:1]).arrays[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones((2, 3), np.float32)}, "array 'b' is missing; the file holds: a"),
        ({"a": 1, "b": 2, "c": 3}, "array 'c' is no input; inputs: a, b"),
        ({"a": np.ones((3, 2), np.float32), "b": np.ones(4, np.float32)}, r"shape \(3, 2\).*wants \(2, 3\)"),
        ({"a": np.ones((2, 3)), "b": np.ones(4, np.float32)}, "'a' is float64; store it as float32"),
    ],
)
def test_wrong_arrays(tmp_path, arrays, message):
    np.savez(tmp_path / "in.npz", **arrays)
    with pytest.raises(UsageError, match=message):
        read_inputs(tmp_path / "in.npz", SPECS)


def test_wrong_files(tmp_path):
    with pytest.raises(UsageError, match=r"none.npz: cannot be read: No such file"):
        read_inputs(tmp_path / "none.npz", SPECS)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(UsageError, match=r"is not an .npz file; write it with numpy.savez"):
        read_inputs(tmp_path / "text.npz", SPECS)
    np.save(tmp_path / "bare.npy", np.zeros(3))
    with pytest.raises(UsageError, match=r"is not an .npz file; write it with numpy.savez"):
        read_inputs(tmp_path / "bare.npy", SPECS)
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object), b=np.zeros(4, np.float32))
    with pytest.raises(UsageError, match=r"is not a sound .npz file"):
        read_inputs(tmp_path / "objects.npz", SPECS)
