"""A library in a process of its own: answers, errors and crashes come back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nincc.errors import DeviceError, UsageError, VerificationError
from nincc.verify.isolated import IsolatedNet, same_for_all_threads

NET = """
import os, signal

class NetError(RuntimeError):
    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status

class CPUError(NetError):
    pass

class Net:
    def __init__(self, threads):
        {opening}
        self.threads = threads
    def __call__(self, *arrays):
        {call}
    def selftest(self):
        {selftest}
"""


@pytest.fixture
def fake(tmp_path):
    """Writes an artefact whose Python file does as told."""

    def write(opening="pass", call="return arrays[0] * 2", selftest="return 0.25"):
        (tmp_path / "manifest.json").write_text(json.dumps({"name": "nin"}))
        (tmp_path / "libnin.so").touch()
        (tmp_path / "nin.py").write_text(NET.format(opening=opening, call=call, selftest=selftest))
        return tmp_path

    return write


X = (np.arange(4, dtype=np.float32),)


def test_runs_again_and_again(fake):
    with IsolatedNet(fake()) as net:
        for factor in (1, 3):
            (found,) = net((X[0] * factor,))
            np.testing.assert_array_equal(found, X[0] * factor * 2)
        assert net.selftest() == 0.25


def test_several_outputs_and_threads(fake):
    with IsolatedNet(fake(call="return arrays[0], arrays[0] * 0 + self.threads"), threads=3) as net:
        first, second = net(X)
    np.testing.assert_array_equal(first, X[0])
    np.testing.assert_array_equal(second, [3, 3, 3, 3])


def test_what_the_library_prints_does_not_mix_with_its_answers(fake):
    with IsolatedNet(fake(call="print('noise'); os.write(1, b'more'); return arrays[0]")) as net:
        np.testing.assert_array_equal(net(X)[0], X[0])


@pytest.mark.parametrize("signal_name", ["SIGSEGV", "SIGILL", "SIGFPE"])
def test_a_crash_is_a_verification_error(fake, signal_name):
    folder = fake(call=f"os.kill(os.getpid(), signal.{signal_name})")
    with IsolatedNet(folder) as net, pytest.raises(VerificationError, match=f"ended by {signal_name}"):
        net(X)


def test_an_exit_is_a_verification_error_with_its_last_words(fake):
    folder = fake(call="os.write(2, b'first\\nlast words\\n'); os._exit(7)")
    with IsolatedNet(folder) as net, pytest.raises(VerificationError, match="status 7: last words"):
        net(X)


def test_a_machine_that_cannot_run_it(fake):
    folder = fake(opening="raise CPUError(3, 'this CPU has no avx512f')")
    with IsolatedNet(folder) as net, pytest.raises(DeviceError, match="no avx512f; compile for this machine"):
        net(X)


def test_a_kernel_that_fails(fake):
    with (
        IsolatedNet(fake(call="raise NetError(8, 'kernel 3 failed')")) as net,
        pytest.raises(DeviceError, match="kernel 3 failed"),
    ):
        net(X)


def test_a_wrong_argument(fake):
    with (
        IsolatedNet(fake(opening="raise ValueError('threads is 9')")) as net,
        pytest.raises(UsageError, match="threads is 9"),
    ):
        net(X)


def test_no_artefact(tmp_path):
    with IsolatedNet(tmp_path) as net, pytest.raises(UsageError, match="is not an artefact"):
        net(X)


def test_a_failed_selftest(fake):
    with (
        IsolatedNet(fake(selftest="raise NetError(6, 'results differ by 3')")) as net,
        pytest.raises(VerificationError, match="results differ by 3"),
    ):
        net.selftest()


def test_a_selftest_that_cannot_run(fake):
    with (
        IsolatedNet(fake(selftest="raise NetError(7, 'no thread')")) as net,
        pytest.raises(DeviceError, match="no thread"),
    ):
        net.selftest()


def test_threads_must_not_change_a_bit():
    first = lambda arrays: (np.float32([0.0, 1.0]),)  # noqa: E731
    same = same_for_all_threads(first, lambda arrays: (np.float32([0.0, 1.0]),))
    np.testing.assert_array_equal(same(X)[0], [0, 1])
    other = same_for_all_threads(first, lambda arrays: (np.float32([-0.0, 1.0]),))
    with pytest.raises(VerificationError, match="different bits"):
        other(X)
