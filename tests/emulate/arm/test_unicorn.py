"""A library in unicorn's CPU: its numbers, its errors, its crashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.toy_net import FAIL_VALUE, toy_input, toy_reference
from emulate.arm.toy import toy_artefact
from nincc.artefact import read_manifest
from nincc.emulate.arm import unicorn_net
from nincc.emulate.arm.unicorn_net import UnicornNet
from nincc.errors import DeviceError, VerificationError

TARGETS = ["cortex-a72", "cortex-a7"]


@pytest.fixture(scope="module", params=TARGETS)
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_artefact(tmp_path_factory.mktemp("toy"), request.param)


def opened(folder: Path) -> UnicornNet:
    return UnicornNet(folder, read_manifest(folder))


def test_outputs_are_those_of_the_net(toy: Path) -> None:
    net = opened(toy)
    for seed in range(3):
        x = toy_input(seed)
        np.testing.assert_allclose(net(x), toy_reference(x), atol=1e-6)


def test_selftest_runs_and_leaves_the_memory_as_it_was(toy: Path) -> None:
    net = opened(toy)
    before = net.machine.heap_next
    assert 0 <= net.selftest() < 1e-6
    assert net.machine.heap_next == before
    assert net.selftest() == net.selftest()


def test_a_failing_kernel_is_reported_in_the_librarys_own_words(toy: Path) -> None:
    x = toy_input()
    x.flat[0] = FAIL_VALUE
    with pytest.raises(VerificationError, match=r'a kernel failed in layer conv1 "\*/ %s'):
        opened(toy)(x)


def test_wrong_inputs_are_value_errors(toy: Path) -> None:
    net = opened(toy)
    with pytest.raises(ValueError, match="2 inputs given"):
        net(toy_input(), toy_input())
    with pytest.raises(ValueError, match="takes float32"):
        net(toy_input().astype(np.float64))
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        net(np.zeros((1, 3), np.float32))


def test_a_core_without_the_instructions_is_refused(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unicorn_net, "hwcap", lambda cpu, name: 0)
    missing = read_manifest(toy)["target"]["requires"][0]
    with pytest.raises(DeviceError, match=f"lacks {missing}, which cortex-a"):
        opened(toy)


def test_open_says_what_is_wrong_with_numbers_in_the_text(toy: Path) -> None:
    """vsnprintf with an int and a size_t: the emulated library's own message."""
    net = opened(toy)
    context, size = net.machine.allocate(8), 100
    status = net.machine.call("toy_open_in", net.machine.allocate(256), size, 0, context)
    text = net.machine.text(net.machine.call("toy_last_error"))
    needed = read_manifest(toy)["context_bytes"]
    assert (status, text) == (2, f"100 bytes are too few; TOY_CONTEXT_BYTES is {needed}")


def test_a_write_outside_of_its_memory_is_a_crash_and_not_luck(toy: Path) -> None:
    net = opened(toy)
    with pytest.raises(VerificationError, match="the library crashed at 0x"):
        net.machine.call("toy_run", net._context, net._places[0], 0x7000)


def test_an_import_the_emulator_lacks_is_named(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = unicorn_net.imports
    monkeypatch.setattr(unicorn_net, "imports", lambda caps: {k: v for k, v in real(caps).items() if k != "expf"})
    net = opened(toy)
    with pytest.raises(DeviceError, match="called expf"):
        net(toy_input())


def test_counting_counts_each_inference_alike(toy: Path) -> None:
    def counted(net: UnicornNet) -> int:
        net.machine.blocks.clear()
        net(toy_input())
        return sum(size // 4 * times for (_, size), times in net.machine.blocks.items())

    net = opened(toy)
    net.selftest()  # what has run before is counted as well
    net.machine.count_blocks()
    first: Any = counted(net)
    assert first == counted(net) > 1000
