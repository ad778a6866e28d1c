"""What an emulated library's status means, whichever emulator ran it."""

from __future__ import annotations

from collections.abc import Callable

from nincc.errors import DeviceError, VerificationError

_OK, _ERROR_CPU, _ERROR_SELFTEST = 0, 3, 6  # of the artefact's header


def check_status(status: int, reason: Callable[[], str], where: str) -> None:
    """DeviceError where the core lacks instructions, VerificationError for any other failure.

    ``reason`` asks the library for its last error; it is called only where there is one.
    """
    if status == _OK:
        return
    if status == _ERROR_CPU:
        raise DeviceError(reason(), where=where)
    if status == _ERROR_SELFTEST:
        raise VerificationError(reason())
    raise VerificationError(f"the library failed with status {status}: {reason()}")
