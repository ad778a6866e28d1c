"""Counting an ARM inference: known instructions of a toy net, and what nin-cifar10 may cost at most."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.toy_net import WEIGHTS
from emulate.arm.nets import compiled
from emulate.arm.toy import toy_artefact
from nincc import zoo
from nincc.bench.estimate import estimate, is_estimated
from nincc.bench.mca import loop_cycles
from nincc.cli.estimate import estimate_text
from nincc.codegen.toolchain import llvm_tool
from nincc.emulate.arm.listing import Instruction

TRIPLE = "aarch64-unknown-linux-gnu"


def code_bytes(library: Path) -> int:
    rows = [line.split() for line in llvm_tool("llvm-size", ["-A", library.name], library.parent).splitlines()]
    return next(int(row[1]) for row in rows if row and row[0] == ".text")


def loop(*lines: str) -> list[Instruction]:
    parts = (line.partition(" ") for line in [*lines, "b.ne 0x0 <k>"])
    return [Instruction(4 * i, name, operands) for i, (name, _, operands) in enumerate(parts)]


@pytest.fixture(scope="module", params=["cortex-a72", "cortex-a7"])
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_artefact(tmp_path_factory.mktemp("toy"), request.param)


def test_toy_net_is_counted_kernel_by_kernel(toy: Path) -> None:
    result = estimate(toy)
    assert [kernel.layer for kernel in result.kernels] == ['conv1 "*/ %s', "head", "driver"]
    scale, head, _ = result.kernels
    assert scale.macs == 96 and scale.instructions > 96 and scale.vector_fmas == 0
    # 96 products: x and a weight are read, the product is written; the first x is looked at once more.
    assert scale.load_bytes >= 2 * 4 * 96 and scale.store_bytes >= 4 * 96
    assert head.load_bytes >= 4 * 96 and len(WEIGHTS) == 48
    assert result.instructions == sum(kernel.instructions for kernel in result.kernels)
    assert estimate(toy) == result
    text = estimate_text(result)
    assert "estimates, not timings" in text and "driver" in text
    assert result.to_dict()["fma_share"] == 0.0


def test_what_runs_here_is_timed_not_counted(toy: Path, tmp_path: Path) -> None:
    assert is_estimated(toy)
    assert not is_estimated(toy_artefact(tmp_path, "x86-64-v2"))


def test_mca_sees_what_bounds_a_loop() -> None:
    independent = loop(*(f"fmla v{i}.4s, v30.4s, v31.s[0]" for i in range(16)), "subs x0, x0, #0x1")
    chained = loop("fmla v0.4s, v30.4s, v31.s[0]", "fmla v0.4s, v30.4s, v31.s[1]", "subs x0, x0, #0x1")
    good, bad = (loop_cycles(body, TRIPLE, "cortex-a72") for body in (independent, chained))
    assert good is not None and bad is not None
    assert good.fma_share > 0.95 and bad.fma_share < 0.5
    assert good.cycles == pytest.approx(16, rel=0.1)


def test_mca_without_a_model_of_the_core_says_nothing() -> None:
    body = loop("vfma.f32 q0, q1, q2")
    assert loop_cycles(body, "armv7l-unknown-linux-gnueabihf", "cortex-a7") is None


def test_nin_cifar10_on_cortex_a72(tmp_path: Path) -> None:
    """The promise of docs/arm.md: at most 33 M instructions, and GEMM loops at the FMA pipes' limit."""
    model = tmp_path / "nin-cifar10.onnx"
    model.write_bytes(zoo.build("nin-cifar10").SerializeToString())
    artefact = compiled(model, "cortex-a72")
    result = estimate(artefact)
    assert code_bytes(artefact / "libnin.so") <= 150 << 10
    assert result.instructions <= 33_000_000
    assert result.fma_share > 0.7
    deep = [kernel for kernel in result.kernels if kernel.macs > 1_000_000 and kernel.layer != "conv1"]
    assert sum(kernel.macs for kernel in deep) > 0.9 * result.macs
    for kernel in deep:
        assert kernel.loop is not None and kernel.loop.fma_limit_share is not None, kernel.layer
        assert kernel.loop.fma_limit_share >= 0.88, kernel.layer
