"""nincc.errors: one line each, and the exit code that the command line ends with."""

from __future__ import annotations

import pytest

from nincc import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InternalError, 1),
        (errors.ModelError, 2),
        (errors.UsageError, 2),
        (errors.VerificationError, 3),
        (errors.DeviceError, 4),
        (errors.ToolError, 4),
    ],
)
def test_exit_codes(kind: type[errors.NinccError], code: int) -> None:
    error = kind("wrong")
    assert isinstance(error, errors.NinccError)
    assert (error.exit_code, kind.exit_code) == (code, code)


def test_every_kind_is_covered_above() -> None:
    kinds = {kind.__name__ for kind in errors.NinccError.__subclasses__()}
    assert kinds == {
        "InternalError",
        "ModelError",
        "UsageError",
        "VerificationError",
        "DeviceError",
        "ToolError",
    }


@pytest.mark.parametrize(
    ("where", "hint", "text"),
    [
        (None, None, "it is wrong"),
        ("a.onnx", None, "a.onnx: it is wrong"),
        (None, "mend it", "it is wrong; mend it"),
        ("a.onnx, node 'x'", "mend it", "a.onnx, node 'x': it is wrong; mend it"),
    ],
)
def test_message_says_where_what_and_how_to_mend_it(where: str | None, hint: str | None, text: str) -> None:
    error = errors.ModelError("it is wrong", where=where, hint=hint)
    assert str(error) == text
    assert (error.what, error.where, error.hint) == ("it is wrong", where, hint)


def test_message_is_one_line_whatever_a_library_says() -> None:
    error = errors.ModelError("[ONNXRuntimeError]\n  at node:\n\tConv ", where="a\nb", hint="c\r\nd")
    assert str(error) == "a b: [ONNXRuntimeError] at node: Conv ; c d"
