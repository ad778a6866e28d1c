"""Every ARM target computes what the float64 evaluation of the graph does: trained nets on digits, and nin-cifar10."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Digits
from emulate.arm.nets import DATA, TARGETS, compiled, digits_net
from emulate.arm.test_link import C_LIBRARY, symbols
from nincc import zoo
from nincc.artefact import read_manifest
from nincc.emulate import UNICORN, load
from nincc.frontend import load_model, to_relay
from nincc.verify.reference import Float64, OnnxRuntime


@pytest.mark.parametrize("net", ["digits_linear", "digits_relu"])
@pytest.mark.parametrize("target", TARGETS)
def test_digits_are_read_alike_and_numbers_are_those_of_float64(target: str, net: str, digits: Digits) -> None:
    compiled = load(digits_net(net, target))
    model = load_model(DATA / f"{net}.onnx", 1)
    first, second = OnnxRuntime(model.path), Float64(model, to_relay(model))
    found = np.concatenate([compiled(image[None]) for image in digits.images])
    expected = np.concatenate([next(iter(first.run({"image": image[None]}).values())) for image in digits.images])
    assert (found.argmax(1) == expected.argmax(1)).all()
    assert (found.argmax(1) == digits.labels).mean() >= 0.95
    for index in range(3):
        (exact,) = second.run({"image": digits.images[index][None]}).values()
        assert np.abs(found[index] - exact[0]).max() <= 1e-5 * max(1.0, np.abs(exact).max())


@pytest.mark.parametrize("target", TARGETS)
def test_nin_cifar10(target: str, cifar10: tuple[Path, Any, Any]) -> None:
    """Right, small, and in want of nothing but the C library."""
    model, image, expected = cifar10
    artefact = compiled(model, target)
    assert np.abs(load(artefact, device=UNICORN)(image) - expected).max() <= 1e-5
    assert text_bytes(artefact) <= 150 << 10
    assert symbols(artefact / "libnin.a", "--undefined-only") <= C_LIBRARY


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """The net, an image and the float64 evaluation's answer to it."""
    path = tmp_path_factory.mktemp("zoo") / "nin-cifar10.onnx"
    path.write_bytes(zoo.build("nin-cifar10").SerializeToString())
    model = load_model(path, 1)
    image = np.random.default_rng(0).standard_normal(model.inputs[0].shape, np.float32)
    (exact,) = Float64(model, to_relay(model)).run({model.inputs[0].name: image}).values()
    return path, image, exact


def test_libraries_are_the_same_bytes_every_time() -> None:
    first, second = digits_net("digits_linear", "cortex-a72"), digits_net("digits_linear", "cortex-a72", threads=4)
    assert first != second
    for name in (path.name for path in first.iterdir()):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize("target", TARGETS)
def test_code_is_small(target: str) -> None:
    assert text_bytes(digits_net("digits_relu", target)) <= 150 << 10


def text_bytes(folder: Path) -> int:
    """The code of the shared library."""
    from nincc.codegen.toolchain import llvm_tool

    name = read_manifest(folder)["name"]
    rows = [line.split() for line in llvm_tool("llvm-size", ["-A", f"lib{name}.so"], folder).splitlines()]
    return next(int(row[1]) for row in rows if row and row[0] == ".text")
