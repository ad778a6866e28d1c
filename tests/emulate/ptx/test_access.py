"""Loads, stores, atomic operations, and the checks of every access."""

from __future__ import annotations

import numpy as np
import pytest

from nincc.emulate.ptx import AddressFault, AlignmentFault, UninitialisedFault
from nincc.errors import InternalError
from tests.emulate.ptx.snippets import kernel, run

COPY = """
mul.wide.u32 %d8, %r0, {step};
add.u64 %d5, %d0, %d8;
add.u64 %d6, %d1, %d8;
ld.global{nc}.{form} {value}, [%d5+{offset}];
st.global.{form} [%d6], {value};
"""
FORMS = {
    "b8": ("%h1", 1),
    "b16": ("%h1", 2),
    "b32": ("%r1", 4),
    "b64": ("%d9", 8),
    "v2.b32": ("{%r1, %r2}", 8),
    "v4.b32": ("{%r1, %r2, %r3, %r4}", 16),
    "v2.b64": ("{%d9, %d10}", 16),
    "v4.b8": ("{%h1, %h2, %h3, %h4}", 4),
}
SOURCE = np.random.default_rng(0).integers(0, 256, 1024).astype(np.uint8)


def copy(form: str, threads: int, offset: int = 0, nc: str = "") -> np.ndarray:
    value, step = FORMS[form]
    body = COPY.format(form=form, value=value, step=step, offset=offset, nc=nc)
    after, _ = run(kernel(body, 2), [SOURCE, np.zeros_like(SOURCE)], block=(threads, 1, 1))
    return after[1]


@pytest.mark.parametrize("form", FORMS)
def test_every_width_and_vector(form: str) -> None:
    step = FORMS[form][1]
    after = copy(form, 48, nc=".nc")
    assert (after[: 48 * step] == SOURCE[: 48 * step]).all()
    assert not after[48 * step :].any()


def test_signs_are_extended() -> None:
    body = "ld.global.s8 %r1, [%d0];\nld.global.u8 %r2, [%d0];\nst.global.v2.b32 [%d1], {%r1, %r2};"
    after, _ = run(kernel(body, 2), [np.array([200], np.uint8), np.zeros(2, np.int32)])
    assert after[1].tolist() == [200 - 256, 200]


def test_out_of_bounds_is_found() -> None:
    copy("v4.b32", 64)
    where = r"PTX line \d+ \(ld.global.v4.b32\), thread \(63, 0, 0\) of block \(0, 0, 0\): .* out of bounds"
    with pytest.raises(AddressFault, match=where):
        copy("v4.b32", 64, offset=16)
    with pytest.raises(AddressFault, match=r"thread \(0, 0, 0\)"):
        copy("v4.b32", 4, offset=-16)


def test_misaligned_is_found() -> None:
    with pytest.raises(AlignmentFault, match="16 bytes"):
        copy("v4.b32", 4, offset=8)
    copy("v2.b32", 4, offset=8)


def test_memory_given_back_is_out_of_bounds() -> None:
    from nincc.emulate.ptx import Memory, Module

    module, memory = Module(kernel("st.global.b32 [%d0], %r0;", 1)), Memory()
    place = memory.allocate(4)
    module.launch("k", (1, 1, 1), (1, 1, 1), 0, [place], memory)
    memory.free(place)
    with pytest.raises(AddressFault, match="out of bounds"):
        module.launch("k", (1, 1, 1), (1, 1, 1), 0, [place], memory)
    with pytest.raises(AddressFault):
        memory.free(place)
    with pytest.raises(AddressFault):
        memory.read(place, 4)


SHARED = """
.shared .align 16 .b8 left[64];
.shared .align 16 .b8 right[64];
mov.u64 %d5, left;
mov.u64 %d6, right;
mad.wide.u32 %d7, %r0, 4, %d5;
mad.wide.u32 %d8, %r0, 4, %d6;
st.shared.b32 [%d7{off}], %r0;
mul.lo.u32 %r1, %r0, 3;
st.shared.b32 [%d8], %r1;
ld.shared.b32 %r2, [%d7{off}];
ld.shared.b32 %r3, [%d8];
add.u32 %r2, %r2, %r3;
mad.wide.u32 %d9, %r0, 4, %d0;
st.global.b32 [%d9], %r2;
"""


def test_shared_arrays_do_not_touch() -> None:
    out = np.zeros(16, np.uint32)
    after, _ = run(kernel(SHARED.format(off=""), 1), [out], block=(16, 1, 1))
    assert after[0].tolist() == [4 * t for t in range(16)]
    with pytest.raises(AddressFault, match=r"shared.*|thread \(15"):
        run(kernel(SHARED.format(off="+4"), 1), [out], block=(16, 1, 1))
    with pytest.raises(AddressFault):
        run(kernel(SHARED.format(off="+-4"), 1), [out], block=(16, 1, 1))


def test_each_block_has_its_own_shared_memory() -> None:
    body = """
    mov.u32 %r1, %ctaid.x;
    mov.u64 %d5, dynamic;
    mad.wide.u32 %d6, %r0, 4, %d5;
    mad.lo.u32 %r2, %r1, 32, %r0;
    st.shared.b32 [%d6], %r2;
    bar.sync 0;
    xor.b32 %r3, %r0, 31;
    mad.wide.u32 %d6, %r3, 4, %d5;
    ld.shared.b32 %r4, [%d6];
    mad.wide.u32 %d7, %r2, 4, %d0;
    st.global.b32 [%d7], %r4;
    """
    text = kernel(body, 1, ".extern .shared .align 16 .b8 dynamic[];")
    after, _ = run(text, [np.zeros(96, np.uint32)], grid=(3, 1, 1), block=(32, 1, 1), shared=128)
    assert (after[0].reshape(3, 32) == np.arange(96).reshape(3, 32)[:, ::-1]).all()
    with pytest.raises(AddressFault):
        run(text, [np.zeros(96, np.uint32)], grid=(3, 1, 1), block=(32, 1, 1), shared=124)


def test_local_memory_and_generic_addresses() -> None:
    body = """
    .local .align 16 .b8 depot[32];
    .shared .align 16 .b8 box[256];
    mov.b64 %d5, depot;
    cvta.local.u64 %d6, %d5;
    st.local.b32 [%d5+8], %r0;
    mov.u64 %d7, box;
    cvta.shared.u64 %d8, %d7;
    mad.wide.u32 %d9, %r0, 4, %d8;
    add.u32 %r1, %r0, 50;
    st.b32 [%d9], %r1;
    cvta.to.shared.u64 %d10, %d9;
    ld.shared.b32 %r2, [%d10];
    setp.lt.u32 %p1, %r0, 8;
    add.u64 %d11, %d6, 8;
    selp.b64 %d12, %d11, %d9, %p1;
    ld.b32 %r3, [%d12];
    mad.lo.u32 %r3, %r2, 1000, %r3;
    cvta.to.global.u64 %d13, %d0;
    mad.wide.u32 %d13, %r0, 4, %d13;
    st.global.b32 [%d13], %r3;
    """
    after, counts = run(kernel(body, 1), [np.zeros(40, np.uint32)], block=(40, 1, 1))
    assert after[0].tolist() == [(t + 50) * 1000 + (t if t < 8 else t + 50) for t in range(40)]
    assert counts.instructions["local"] == 40


def test_tables_of_the_module() -> None:
    tables = ".global .align 4 .u32 table[4] = {7, 8, 9, 0xFFFFFFFF};\n.const .align 4 .f32 half = 0f3F000000;"
    body = """
    and.b32 %r1, %r0, 3;
    mul.wide.u32 %d5, %r1, 4;
    mov.u64 %d6, table;
    add.u64 %d6, %d6, %d5;
    ld.global.nc.u32 %r2, [%d6];
    ld.const.b32 %r3, [half];
    cvt.rn.f32.u32 %r4, %r2;
    mul.f32 %r4, %r4, %r3;
    mad.wide.u32 %d7, %r0, 4, %d0;
    st.global.b32 [%d7], %r4;
    """
    after, counts = run(kernel(body, 1, tables), [np.zeros(8, np.float32)], block=(8, 1, 1))
    assert after[0].tolist() == [3.5, 4.0, 4.5, 2.0**31] * 2
    assert counts.instructions["load_const"] == 8 * 2


def test_atomic_sums() -> None:
    body = """
    cvt.rn.f32.u32 %r1, %r0;
    atom.global.add.f32 %r2, [%d0], %r1;
    red.global.add.u32 [%d1], 1;
    and.b32 %r3, %r0, 3;
    mad.wide.u32 %d5, %r3, 4, %d1;
    red.relaxed.gpu.global.max.u32 [%d5+4], %r0;
    """
    arrays = [np.zeros(1, np.float32), np.zeros(8, np.uint32)]
    after, counts = run(kernel(body, 2), arrays, grid=(3, 1, 1), block=(50, 1, 1))
    assert after[0][0] == 3 * sum(range(50))
    assert after[1].tolist() == [150, 48, 49, 46, 47, 0, 0, 0]
    assert counts.instructions["atomic"] == 3 * 150


def test_atomics_take_turns() -> None:
    body = """
    .shared .align 4 .b8 counter[4];
    setp.ne.u32 %p1, %r0, 0;
    @%p1 bra READY;
    st.shared.b32 [counter], 0;
    READY:
    bar.sync 0;
    atom.shared.inc.u32 %r1, [counter], 9;
    atom.global.cas.b32 %r2, [%d1], 5, %r0;
    atom.global.exch.b32 %r3, [%d1+4], %r0;
    mad.wide.u32 %d5, %r0, 4, %d0;
    st.global.b32 [%d5], %r1;
    """
    after, _ = run(kernel(body, 2), [np.zeros(24, np.uint32), np.array([5, 77], np.uint32)], block=(24, 1, 1))
    assert after[0].tolist() == [t % 10 for t in range(24)]
    assert after[1].tolist() == [0, 23]


def test_reads_of_what_nobody_wrote() -> None:
    body = ".shared .align 16 .b8 box[16];\nld.shared.b32 %r1, [box+4];\nst.global.b32 [%d0], %r1;"
    after, _ = run(kernel(body, 1), [np.zeros(1, np.float32)])
    assert np.isnan(after[0][0])
    with pytest.raises(UninitialisedFault, match="shared memory that was never written"):
        run(kernel(body, 1), [np.zeros(1, np.float32)], detect_uninitialised=True)
    written = body.replace("ld.shared", "st.shared.b32 [box+4], 7;\nld.shared")
    run(kernel(written, 1), [np.zeros(1, np.float32)], detect_uninitialised=True)


def test_every_block_finds_garbage_in_its_shared_memory() -> None:
    """A thread that never stores, or a load before the barrier, gives no number: nothing is left of earlier blocks."""
    body = """
    mad.wide.u32 %d5, %r0, 4, %d0;
    mov.u32 %r1, %ctaid.x;
    mad.wide.u32 %d5, %r1, 128, %d5;
    shl.b32 %r2, %r0, 2;
    mov.u32 %r3, box;
    add.u32 %r3, %r3, %r2;
    ld.shared.b32 %r4, [%r3];
    st.global.b32 [%d5], %r4;
    st.shared.b32 [%r3], 0;
    """
    for declared, dynamic in ((".shared .align 16 .b8 box[8192];\n", 0), ("", 8192)):
        text = kernel(declared + body, 1, "" if declared else ".extern .shared .align 16 .b8 box[];")
        after, _ = run(text, [np.zeros((5000, 32), np.float32)], grid=(5000, 1, 1), block=(32, 1, 1), shared=dynamic)
        assert np.isnan(after[0]).all()


UNKNOWN = ["ld.global.v8.b32 %r1, [%d0];", "ld.texture.b32 %r1, [%d0];", "atom.global.add %r1, [%d0], 1;"]


@pytest.mark.parametrize("line", UNKNOWN)
def test_unknown_forms(line: str) -> None:
    with pytest.raises(InternalError, match="does not know the instruction"):
        run(kernel(line, 1), [np.zeros(4, np.uint32)])
