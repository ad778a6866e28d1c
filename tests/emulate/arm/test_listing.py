"""What an instruction is, from the disassembler's text."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulate.arm.toy import toy_artefact
from nincc.emulate.arm.elf import Elf
from nincc.emulate.arm.listing import Instruction, Listing
from nincc.errors import UsageError


def instruction(text: str) -> Instruction:
    mnemonic, _, operands = text.partition(" ")
    return Instruction(0x1000, mnemonic, operands)


@pytest.mark.parametrize(
    ("text", "lanes"),
    [
        ("fmla v27.4s, v11.4s, v14.s[0]", 4),
        ("fmls v1.2s, v2.2s, v3.2s", 2),
        ("fmla v1.2d, v2.2d, v3.2d", 0),
        ("fmadd s0, s1, s2, s3", 1),
        ("fmadd d0, d1, d2, d3", 0),
        ("fadd v1.4s, v2.4s, v3.4s", 0),
        ("fmul v1.4s, v2.4s, v3.4s", 0),
        ("vfma.f32 q0, q1, q2", 4),
        ("vmla.f32 d0, d1, d2[0]", 2),
        ("vfma.f32 s0, s1, s2", 1),
        ("vmul.f32 q0, q1, q2", 0),
    ],
)
def test_multiply_adds(text: str, lanes: int) -> None:
    assert instruction(text).fma_lanes == lanes
    assert instruction(text).is_vector_fma == (lanes > 1)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("ldr q0, [x1, #0x10]", 16),
        ("ldp q11, q10, [x6, #-0x80]", 32),
        ("ldp s13, s14, [x7, #0x8]", 8),
        ("ldr s14, [x7, #0x300]", 4),
        ("ldr x0, [x1], #0x8", 8),
        ("ldr w0, [x1, w2, sxtw #2]", 4),
        ("ldp x29, x30, [sp], #0x10", 16),
        ("ldrb w0, [x1]", 1),
        ("ldrsw x0, [x1]", 4),
        ("ldur q0, [x1, #-0x8]", 16),
        ("ld1r { v13.4s }, [x19], #4", 4),
        ("ld1 { v0.4s, v1.4s }, [x0]", 32),
        ("vld1.32 {d14, d15}, [r6]!", 16),
        ("vld1.32 {d16[], d17[]}, [r6:32]!", 4),
        ("vld1.32 {d16[1]}, [r6:32]", 4),
        ("vld1.64 {d6, d7}, [lr:128]", 16),
        ("vldr s0, [r1, #4]", 4),
        ("vldr d0, [r1, #8]", 8),
        ("vldmia r0, {d8-d15}", 64),
        ("ldm sp, {r4, r5, lr}", 12),
        ("ldrd r0, r1, [r2]", 8),
        ("ldr r0, [r1, r2, lsl #2]", 4),
        ("ldrh r0, [r1]", 2),
        ("pop {r4, r5, r6, pc}", 16),
        ("vpop {d8, d9}", 16),
        ("prfm pldl1keep, [x14, x8]", 0),
        ("pld [r2, r0]", 0),
        ("fmla v1.4s, v2.4s, v3.4s", 0),
    ],
)
def test_bytes_loaded(text: str, size: int) -> None:
    assert instruction(text).load_bytes == size
    assert instruction(text).store_bytes == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("str q0, [x1]", 16),
        ("stp q0, q1, [x1, #0x20]", 32),
        ("stp xzr, x2, [x1]", 16),
        ("stp wzr, w2, [x1]", 8),
        ("strb wzr, [x1]", 1),
        ("st1 { v0.s }[1], [x0]", 4),
        ("vst1.32 {d0, d1}, [r2]!", 16),
        ("push {r4, r5, r6, lr}", 16),
        ("vstmia r0!, {d16, d17}", 16),
        ("strd r0, r1, [r2]", 8),
    ],
)
def test_bytes_stored(text: str, size: int) -> None:
    assert instruction(text).store_bytes == size
    assert instruction(text).load_bytes == 0


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("b.ne 0xa68730 <k01_gemm+0x240>", 0xA68730),
        ("cbnz w1, 0x40 <f>", 0x40),
        ("bne 0x4d9f4 <k01_gemm+0x260>", 0x4D9F4),
        ("b 0x10", 0x10),
        ("bl 0x10 <g>", None),
        ("ret ", None),
        ("add x0, x0, #0x10", None),
        ("bic r0, r1, #0x10", None),
    ],
)
def test_branches(text: str, target: int | None) -> None:
    assert instruction(text).branch_target == target


@pytest.mark.parametrize("target", ["cortex-a72", "cortex-a7"])
def test_a_library_is_read_whole(target: str, tmp_path: Path) -> None:
    library = toy_artefact(tmp_path, target) / "libtoy.so"
    listing, run = Listing(library), Elf(library).exports()["toy_run"]
    first = listing.index(run)
    assert listing.instructions[first].address == run
    assert [i.address for i in listing.between(run, run + 16)] == [run, run + 4, run + 8, run + 12]
    assert all(i.mnemonic != "<unknown>" for i in listing.between(run, run + 16))


def test_what_is_no_library_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library" * 20)
    with pytest.raises(UsageError, match="text.so: is no ELF library"):
        Elf(tmp_path / "text.so")
    with pytest.raises(UsageError, match="cannot read: No such file"):
        Elf(tmp_path / "none.so")
