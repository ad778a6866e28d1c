"""ptxas on whole nets: every kernel fits its target, and nothing is spilled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from codegen.gpu_running import gpu
from nincc import zoo
from nincc.codegen.cuda.assembler import assemble_ptx, find_assembler
from nincc.codegen.cuda.ptx import emit_kernel, join_module
from nincc.codegen.cuda.split import DeviceKernels
from nincc.codegen.lower import lower
from nincc.frontend import load_model, to_relay
from nincc.options import CompileOptions
from nincc.passes.pipeline import optimize

DIGITS = Path(__file__).parent.parent / "data" / "digits_relu.onnx"
CASES = [
    *(("digits", target) for target in ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90")),
    ("nin-cifar10", "sm_75"),
    ("nin-cifar10", "sm_90"),
    ("nin-imagenet", "sm_75"),
]


@pytest.mark.skipif(find_assembler() is None, reason="ptxas is not installed")
@pytest.mark.parametrize(("net", "target"), CASES)
def test_every_kernel_fits_and_spills_nothing(tmp_path: Path, net: str, target: str) -> None:
    path = DIGITS
    if net != "digits":
        path = tmp_path / "net.onnx"
        onnx.save(zoo.build(net), path)
    machine = gpu(target)
    module, _ = optimize(to_relay(load_model(path)), CompileOptions(target=machine, threads=1))
    calls = _calls(lower(module, machine, 1))
    texts = [emit_kernel(call.kernel, call.func, machine, tmp_path) for call in calls]
    assembler = find_assembler()
    assert assembler is not None
    launches = {call.kernel: call.launch for call in calls}
    device = assemble_ptx(assembler, join_module(texts, machine), launches, machine, tmp_path)
    assert set(device.resources) == set(launches)
    for name, resources in device.resources.items():
        assert resources.spill_bytes == 0 and resources.occupancy > 0, name
        assert resources.registers * launches[name].threads <= machine.registers, name


def _calls(lowered: Any) -> list[Any]:
    found = [kernels for kernels in lowered.kernels.values() if isinstance(kernels, DeviceKernels)]
    return [call for kernels in found for call in kernels.calls]
