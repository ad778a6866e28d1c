"""One PTX module of kernels that LLVM made one by one, for every shipped GPU; and what ptxas says of it."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from codegen.gpu_net import PTX, without
from codegen.gpu_running import gpu, kernels_of, primitive, ptx_of, relay
from nincc._tvm import tvm
from nincc.codegen.cuda.assembler import assemble_ptx, find_assembler, occupancy
from nincc.codegen.cuda.machine import schedule_target
from nincc.codegen.cuda.ptx import KernelText, _kernel_text, emit_kernel, join_module
from nincc.codegen.cuda.split import launch_of, split_kernels
from nincc.codegen.program import Launch
from nincc.errors import InternalError, ToolError
from nincc.target import cpu_names, target_names

te = tvm.te
GPUS = [name for name in target_names() if name not in cpu_names()]
LAUNCHES = {"scale": Launch((1, 1, 1), (16, 1, 1)), "head": Launch((2, 1, 1), (1, 1, 1), 65536)}


@pytest.fixture
def ptxas() -> Path:
    found = find_assembler()
    if found is None:
        pytest.skip("ptxas is not installed")
    return found


def softmax() -> object:
    x = relay.var("x", shape=(4, 100))
    return primitive(relay.nn.softmax(x), [x])


@pytest.mark.parametrize("name", GPUS)
def test_every_target_has_its_own_module(tmp_path: Path, name: str) -> None:
    target = gpu(name)
    kernels = kernels_of(softmax(), target)
    ptx = ptx_of(kernels, target, tmp_path)
    assert f".version {target.ptx}\n.target sm_{target.sm}\n.address_size 64\n" in ptx
    assert ".visible .entry k(" in ptx and ".func" not in ptx and ".extern" not in ptx
    assert set(re.findall(r"\bbar\S+|shfl\.\w+|ex2\.\S+", ptx)) == {"bar.sync", "shfl.sync", "ex2.approx.ftz.f32"}


@pytest.mark.parametrize("name", GPUS)
def test_ptxas_takes_it(tmp_path: Path, ptxas: Path, name: str) -> None:
    target = gpu(name)
    kernels = kernels_of(softmax(), target)
    launches = {call.kernel: call.launch for call in kernels.calls}
    device = assemble_ptx(ptxas, ptx_of(kernels, target, tmp_path), launches, target, tmp_path)
    assert device.cubin.startswith(b"\x7fELF") and re.fullmatch(r"\d+\.\d+\.\d+", device.assembler)
    (resources,) = device.resources.values()
    assert resources.spill_bytes == 0 and 0 < resources.registers < 64
    assert resources.shared_bytes >= 2 * 32 and resources.occupancy == 1.0


def test_the_same_kernel_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (ptx_of(kernels_of(softmax(), gpu()), gpu(), tmp_path) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("threads", "told"), [(256, False), (288, True), (512, True)])
def test_large_blocks_tell_ptxas_their_threads(tmp_path: Path, ptxas: Path, threads: int, told: bool) -> None:
    """Else it may give each so many registers that no such block can be launched."""
    func = _copy(threads)
    text = emit_kernel("k", func, gpu(), tmp_path)
    assert (f"\n)\n.reqntid {threads}, 1, 1\n{{" in text.text) == told
    assert launch_of(func).threads == threads
    device = assemble_ptx(ptxas, join_module([text], gpu()), {"k": launch_of(func)}, gpu(), tmp_path)
    assert device.resources["k"].occupancy > 0


def _copy(threads: int) -> Any:
    """The device function of a launch of one block."""
    x = te.placeholder((threads,), name="x")
    y = te.compute(x.shape, lambda i: x[i], name="y")
    schedule = te.create_schedule(y.op)
    block, thread = schedule[y].split(y.op.axis[0], threads)
    schedule[y].bind(block, te.thread_axis("blockIdx.x"))
    schedule[y].bind(thread, te.thread_axis("threadIdx.x"))
    (call,) = split_kernels("k", tvm.lower(schedule, [x, y], name="k")["k"], schedule_target(gpu())).calls
    return call.func


ENTRY = """.version 7.8
.target sm_80
.address_size 64
	// .globl	{name}                   // -- Begin function {name}
.func  (.param .b32 func_retval0) __helper(
	.param .b32 __helper_param_0
)
{{
	ret;
}}
.global .align 4 .u32 switch_table[2] = {{1, 2}};
.shared .align 16 .b8 buffer[{size}];
.visible .shared .align 16 .b8 buffer_1[100];
.visible .entry {name}(
	.param .u64 .ptr .align 16 {name}_param_0
)
{{
	mov.b64 	%rd1, buffer;
	mov.b64 	%rd2, buffer_1;
	ld.global.u32 	%r1, [switch_table];
	ret;
}}
"""


def test_arrays_of_two_kernels_stay_apart() -> None:
    texts = [_kernel_text(name, ENTRY.format(name=name, size=64)) for name in ("one", "two")]
    assert [(text.static, text.dynamic) for text in texts] == [(64 + 112, 0)] * 2
    module = join_module(texts, gpu())
    for name in ("one", "two"):
        assert f".shared .align 16 .b8 {name}_shared0[64];" in module
        assert f".shared .align 16 .b8 {name}_shared1[100];" in module
        assert f".global .align 4 .u32 {name}_table0[2] = {{1, 2}};" in module
        assert f"mov.b64 	%rd2, {name}_shared1;" in module and f"[{name}_table0]" in module
    assert not re.search(r"\bbuffer|__helper|switch_table", module)


def test_much_shared_memory_is_asked_for_at_the_launch() -> None:
    text = _kernel_text("big", ENTRY.format(name="big", size=49152))
    assert (text.static, text.dynamic) == (0, 49152 + 112)
    module = join_module([text, KernelText("small", "", 0, 0)], gpu())
    assert module.count(".extern .shared .align 16 .b8 nincc_shared[];") == 1
    assert "mov.b64 	%rd1, nincc_shared;" in module and "mov.b64 	%rd2, nincc_shared+49152;" in module


def test_no_kernel_is_an_internal_error() -> None:
    with pytest.raises(InternalError, match="LLVM made no kernel of 'other'"):
        _kernel_text("other", ENTRY.format(name="one", size=64))


def test_resources_count_dynamic_shared_memory(tmp_path: Path, ptxas: Path) -> None:
    device = assemble_ptx(ptxas, PTX, LAUNCHES, gpu(), tmp_path)
    assert device.resources["head"].shared_bytes == 65536
    assert device.resources["head"].occupancy == 2 * 32 / 2048  # two blocks of 65 KiB fit in 164 KiB


def test_a_wrong_module_is_an_internal_error(tmp_path: Path, ptxas: Path) -> None:
    with pytest.raises(InternalError, match="ptxas finds the kernels wrong"):
        assemble_ptx(ptxas, without(PTX, r"\.reg \.pred"), LAUNCHES, gpu(), tmp_path)


@pytest.mark.parametrize(
    ("registers", "shared", "threads", "share"),
    [
        (32, 0, 256, 1.0),
        (33, 0, 256, 0.75),  # 40 a thread: 6 blocks of 8 warps
        (255, 0, 256, 0.125),
        (16, 0, 32, 0.5),  # 32 blocks at most
        (16, 50000, 256, 0.375),  # three blocks of 50,000 + 1,024 bytes
        (16, 0, 33, 1.0),  # two warps a block
    ],
)
def test_occupancy(registers: int, shared: int, threads: int, share: float) -> None:
    assert occupancy(registers, shared, threads, gpu()) == share


def test_which_assembler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINCC_PTXAS", "")
    assert find_assembler() is None
    monkeypatch.setenv("NINCC_PTXAS", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="NINCC_PTXAS: cannot run '.*none'; name ptxas, or leave it empty for none"):
        find_assembler()
    program = tmp_path / "ptxas"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("NINCC_PTXAS", str(program))
    assert find_assembler() == program
    monkeypatch.delenv("NINCC_PTXAS")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_assembler() == program == Path(str(shutil.which("ptxas")))


def test_an_assembler_that_is_too_old_leaves_the_ptx(tmp_path: Path) -> None:
    program = tmp_path / "ptxas"
    said = "ptxas fatal   : Value 'sm_80' is not defined for option 'gpu-name'"
    program.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    program.chmod(0o755)
    device = assemble_ptx(program, PTX, LAUNCHES, gpu(), tmp_path)
    assert (device.ptx, device.cubin, device.resources, device.assembler) == (PTX, b"", {}, "")
