"""The errors nincc raises on purpose, each with the exit code the command line ends with.

A message is one line: what is wrong, where, and how to mend it.  Anything that is not a
:class:`NinccError` is a bug in nincc and ends with exit code 1 and a traceback.
"""

from __future__ import annotations


class NinccError(Exception):
    """Base of every error a user can meet; ``exit_code`` is the process's exit code."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        text = f"{text}; {self.hint}" if self.hint else text
        return " ".join(text.split())


class InternalError(NinccError):
    """nincc itself failed (a code generator crash, a broken invariant): exit 1."""

    exit_code = 1


class ModelError(NinccError):
    """The ONNX model cannot be compiled: exit 2.  ``where`` names the file and the node."""

    exit_code = 2


class UsageError(NinccError):
    """An option, a file or an argument is wrong: exit 2."""

    exit_code = 2


class VerificationError(NinccError):
    """The compiled library's numbers are off: exit 3."""

    exit_code = 3


class DeviceError(NinccError):
    """No device, emulator or CPU feature to run on: exit 4."""

    exit_code = 4


class ToolError(NinccError):
    """A program nincc needs is missing or failed: exit 4."""

    exit_code = 4
