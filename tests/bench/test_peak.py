"""The loop behind the FMA peak: the right instructions, and a figure that can be true."""

from __future__ import annotations

import pytest

from nincc.bench import peak
from nincc.bench.peak import Peak, measure_peak, peak_source
from nincc.codegen.toolchain import compile_c, llvm_tool
from nincc.errors import DeviceError
from nincc.target import load_target, native_target

CASES = {
    "x86-64-v2": ("mulps", "addps", "xmm"),
    "x86-64-v3": ("vfmadd", "vfmadd", "ymm"),
    "x86-64-v4": ("vfmadd", "vfmadd", "zmm"),
}


@pytest.mark.parametrize("name", CASES)
def test_loop_is_independent_multiply_adds_on_whole_registers(name, tmp_path):
    target = load_target(name)
    (tmp_path / "peak.c").write_text(peak_source(target))
    compile_c("peak.c", "peak.o", target, "glibc", tmp_path)
    code = llvm_tool("llvm-objdump", ["-d", "--no-show-raw-insn", "peak.o"], tmp_path)
    multiply, add, register = CASES[name]
    for instruction in (multiply, add):
        lines = [line for line in code.splitlines() if instruction in line and register in line]
        assert len(lines) >= 12


def test_this_machine_has_a_peak():
    target = native_target()
    measured = measure_peak(target)
    # Two FMA units at 1 to 7 GHz hold for every CPU these targets know; half of that for those with one.
    assert 2 * target.lanes * 0.5 < measured.gflops < 4 * target.lanes * 7
    assert measured.threads == 1


def test_two_threads_count_twice():
    target = native_target()
    one, two = measure_peak(target), measure_peak(target, 2)
    assert 1.2 * one.gflops < two.gflops < 2.4 * one.gflops


def test_direct_limit_is_macs_over_peak():
    assert Peak("x", 8, 1, gflops=100.0).direct_limit(50_000_000) == pytest.approx(1e-3)


def test_wider_vectors_than_the_cpu_has_are_refused(monkeypatch):
    monkeypatch.setattr(peak, "native_target", lambda: load_target("x86-64-v2"))
    with pytest.raises(DeviceError, match="x86-64-v3.*it runs x86-64-v2"):
        measure_peak.__wrapped__(load_target("x86-64-v3"))
