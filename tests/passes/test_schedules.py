"""Records reach every kernel that has one: its knobs, the file and line; and the passes say what had none."""

from __future__ import annotations

from pathlib import Path

import pytest

from nincc.api import compile_options, explain
from nincc.errors import UsageError
from nincc.frontend import load_model
from nincc.tune.collect import collect
from nincc.zoo import names
from tests.records.lines import CHAIN_TASK, CONV_TASK, F2, header, line, write
from tests.tune.nets import two_products


def kernels(path: Path, *lines: str, **options) -> dict:
    records = write(path.with_suffix(".jsonl"), *lines)
    explanation = explain(path, "x86", schedules=records, shipped_schedules=False, **options)
    return {kernel.layer: kernel for kernel in explanation.kernels if kernel.macs} | {"passes": explanation.passes[-1]}


def cifar(folder: Path) -> Path:
    import onnx

    from nincc.zoo import build

    onnx.save(build("nin-cifar10"), folder / "cifar.onnx")
    return folder / "cifar.onnx"


def test_a_convolutions_record_gives_its_knobs(tmp_path: Path) -> None:
    found = kernels(cifar(tmp_path), line(CONV_TASK, F2, 1e-3))
    conv = found["conv2"]
    assert conv.op == "nincc.conv2d_winograd" and conv.reason == "record cifar.jsonl:2: F(2, 5), 1000.0 us"
    assert {name: conv.schedule[name] for name in F2} == F2
    assert found["passes"].changed == [f"conv2: {conv.reason}"]
    assert "conv1: no record, the cost rule chose" in found["passes"].declined


def test_a_chains_record_gives_its_knobs(tmp_path: Path) -> None:
    knobs = {"strassen": "01", "mr": 4, "block": 2}
    found = kernels(two_products(tmp_path), line(CHAIN_TASK, knobs, 1e-3), strict_schedules=True)
    chain = next(kernel for name, kernel in found.items() if name != "passes")
    assert chain.op == "nincc.gemm_chain" and chain.reason.startswith("record products.jsonl:2: Strassen")
    assert (list(chain.schedule["strassen"]), chain.schedule["mr"], chain.schedule["block"]) == ([0, 1], 4, 2)


def test_a_budget_below_strassens_error_takes_another(tmp_path: Path) -> None:
    lines = [line(CHAIN_TASK, {"strassen": way, "mr": 4, "block": 2}, t) for way, t in (("11", 1e-4), ("00", 1e-3))]
    found = kernels(two_products(tmp_path), *lines, error_budget=2e-7)
    assert all("Strassen" not in kernel.reason for name, kernel in found.items() if name != "passes")


def test_a_torn_line_is_told(tmp_path: Path) -> None:
    found = kernels(two_products(tmp_path), '{"input": ["ll')
    assert any(text.startswith("products.jsonl:2: line set aside: ") for text in found["passes"].declined)


@pytest.mark.parametrize("net", names())
def test_every_task_of_a_net_is_looked_up_under_its_name(tmp_path: Path, net: str) -> None:
    """What the tuner collects is what a compile asks for: with a record a task, strict schedules are content."""
    import onnx

    from nincc.zoo import build

    path = tmp_path / "net.onnx"
    onnx.save(build(net), path)
    tasks = collect(load_model(path), compile_options("x86"))
    records = write(tmp_path / "r.jsonl", *(line(task.space.task, task.rule, 1e-3) for task in tasks), head=header())
    explanation = explain(path, "x86", schedules=records, shipped_schedules=False, strict_schedules=True)
    reasons = {kernel.reason.split(":")[1] for kernel in explanation.kernels if kernel.macs}
    assert len(reasons) == len(tasks)


def test_strict_schedules_name_what_has_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x86-64-v3: no tuned record for .*; run 'nincc tune'"):
        kernels(two_products(tmp_path), strict_schedules=True)
