"""Counts of bytes, sectors and wavefronts, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nincc.emulate.ptx import Counts, Memory, Module
from tests.emulate.ptx.snippets import kernel, run


def loads(address: str, form: str = "b32", threads: int = 64) -> Counts:
    """One global load a thread; ``address`` leaves the offset in %r1."""
    value = "{%r2, %r3, %r4, %r5}" if "v4" in form else "%r2"
    body = f"{address}\ncvt.u64.u32 %d5, %r1;\nadd.u64 %d5, %d5, %d0;\nld.global.{form} {value}, [%d5];"
    return run(kernel(body, 1), [np.zeros(8192, np.uint8)], block=(threads, 1, 1))[1]


@pytest.mark.parametrize(
    ("address", "form", "sectors", "unique"),
    [
        ("shl.b32 %r1, %r0, 2;", "b32", 8, 8),  # 64 neighbouring floats: 256 bytes
        ("shl.b32 %r1, %r0, 4;", "v4.b32", 32, 32),
        ("shl.b32 %r1, %r0, 6;", "b32", 64, 64),  # every sixteenth float: a sector each
        ("mov.b32 %r1, 64;", "b32", 2, 1),  # the same float: a sector for each of two warps
        ("xor.b32 %r1, %r0, 31;\nshl.b32 %r1, %r1, 2;", "b32", 8, 8),  # backwards
        ("and.b32 %r1, %r0, 7;\nshl.b32 %r1, %r1, 5;", "b32", 16, 8),  # eight sectors, over and over
    ],
)
def test_sectors(address: str, form: str, sectors: int, unique: int) -> None:
    counts = loads(address, form)
    assert counts.read_bytes == 64 * (16 if "v4" in form else 4)
    assert counts.read_sectors == sectors
    assert counts.unique_read_sectors == unique
    assert counts.instructions["load_global"] == 64


def test_stores_are_counted_apart() -> None:
    body = "mad.wide.u32 %d5, %r0, 4, %d0;\nst.global.b32 [%d5], %r0;"
    counts = run(kernel(body, 1), [np.zeros(64, np.uint32)], grid=(1, 1, 1), block=(40, 1, 1))[1]
    assert (counts.write_bytes, counts.write_sectors, counts.unique_write_sectors) == (160, 5, 5)
    assert counts.read_sectors == 0


def shared(address: str, form: str = "b32", threads: int = 32) -> Counts:
    """One shared load a thread; ``address`` leaves the offset in %r1."""
    value = {"b32": "%r2", "v2.b32": "{%r2, %r3}", "v4.b32": "{%r2, %r3, %r4, %r5}"}[form]
    body = f".shared .align 16 .b8 box[8192];\n{address}\nmov.u64 %d5, box;\ncvt.u64.u32 %d6, %r1;"
    body += f"add.u64 %d5, %d5, %d6;\nld.shared.{form} {value}, [%d5];"
    return run(kernel(body), [], block=(threads, 1, 1))[1]


@pytest.mark.parametrize(
    ("address", "form", "wavefronts", "ideal", "merged"),
    [
        ("shl.b32 %r1, %r0, 2;", "b32", 1, 1, 1),
        ("mov.b32 %r1, 16;", "b32", 1, 1, 1),  # one word for all
        ("shl.b32 %r1, %r0, 3;", "b32", 2, 1, 2),  # every second bank
        ("shl.b32 %r1, %r0, 7;", "b32", 32, 1, 32),  # one bank
        ("mul.lo.u32 %r1, %r0, 132;", "b32", 1, 1, 1),  # one bank further for each lane
        ("shl.b32 %r1, %r0, 3;", "v2.b32", 2, 2, 2),  # 256 bytes
        ("shl.b32 %r1, %r0, 4;", "v4.b32", 4, 4, 4),  # 512 bytes
        ("mov.b32 %r1, 16;", "v4.b32", 4, 4, 1),  # one vector for all
        ("shl.b32 %r1, %r0, 5;", "v4.b32", 8, 4, 8),  # every second vector
    ],
)
def test_wavefronts(address: str, form: str, wavefronts: int, ideal: int, merged: int) -> None:
    counts = shared(address, form)
    assert (counts.shared_wavefronts, counts.shared_ideal, counts.shared_merged) == (wavefronts, ideal, merged)
    assert counts.bank_conflicts == wavefronts - ideal


def test_inactive_lanes_take_no_part() -> None:
    counts = shared("setp.ge.u32 %p1, %r0, 8;\n@%p1 ret;\nshl.b32 %r1, %r0, 7;", threads=40)
    assert counts.shared_wavefronts == 8
    assert counts.instructions["load_shared"] == 8


def test_shared_clocks_against_fma_clocks() -> None:
    body = ".shared .align 16 .b8 box[512];\nmov.u64 %d5, box;\nmad.wide.u32 %d5, %r0, 16, %d5;"
    body += "ld.shared.v4.b32 {%r2, %r3, %r4, %r5}, [%d5];\n" + "fma.rn.f32 %r2, %r3, %r4, %r2;\n" * 16
    counts = run(kernel(body), [], block=(32, 1, 1))[1]
    assert counts.instructions["fma"] == 512
    assert counts.shared_to_fma(128) == 4 / (512 / 128)
    assert counts.shared_to_fma(64) == 4 / (512 / 64)
    assert counts.fma_share == 512 / (512 + 32 * 5)
    assert Counts().shared_to_fma(64) == 0


def test_counts_add_up() -> None:
    one = loads("shl.b32 %r1, %r0, 2;")
    both = one + one
    assert (both.kernel, both.launches, both.total, both.read_sectors) == ("k", 2, 2 * one.total, 16)
    assert both.longest_thread == 2 * one.longest_thread
    assert (one + Counts("other")).kernel == ""


def test_counting_the_traffic_can_be_left_out() -> None:
    text = kernel("mad.wide.u32 %d5, %r0, 4, %d0;\nld.global.b32 %r1, [%d5];", 1)
    memory = Memory()
    counts = Module(text).launch("k", (1, 1, 1), (8, 1, 1), 0, [memory.allocate(32)], memory, count=False)
    assert counts.total == 8 * 5
    assert counts.read_bytes == 0
