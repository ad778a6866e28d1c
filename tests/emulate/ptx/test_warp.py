"""Shuffles, votes and the active mask against their definitions, lane by lane."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nincc.emulate.ptx import BarrierFault
from tests.emulate.ptx.snippets import kernel, run

STORE = "\nmad.wide.u32 %d9, %r0, 4, %d0;\nst.global.b32 [%d9], %r1;"


def results(body: str, threads: int = 64) -> list[int]:
    after, _ = run(kernel(body + STORE, 1), [np.zeros(threads, np.uint32)], block=(threads, 1, 1))
    return after[0].tolist()


def source_lane(mode: str, lane: int, move: int, control: int) -> int | None:
    """PTX ISA's pseudocode of ``shfl.sync``; None where the source is out of range."""
    segment, clamp = control >> 8 & 31, control & 31
    limit = (lane & segment) | (clamp & ~segment & 31)
    lowest = lane & segment
    if mode == "up":
        other, valid = lane - move, lane - move >= limit
    elif mode == "down":
        other, valid = lane + move, lane + move <= limit
    elif mode == "bfly":
        other, valid = lane ^ move, (lane ^ move) <= limit
    else:
        other = lowest | (move & ~segment & 31)
        valid = other <= limit
    return other if valid else None


@given(
    mode=st.sampled_from(["up", "down", "bfly", "idx"]),
    move=st.integers(0, 31),
    width=st.sampled_from([2, 4, 8, 16, 32]),
)
@settings(max_examples=40, deadline=None)
def test_shuffle_is_the_definition(mode: str, move: int, width: int) -> None:
    control = (32 - width) << 8 | (0 if mode == "up" else 31)
    body = f"""
    add.u32 %r2, %r0, 1000;
    shfl.sync.{mode}.b32 %r1|%p1, %r2, {move}, {control}, -1;
    @!%p1 add.u32 %r1, %r1, 5000;
    """
    expected = []
    for thread in range(64):
        other = source_lane(mode, thread % 32, move, control)
        first = thread - thread % 32
        expected.append(1000 + first + other if other is not None else 6000 + thread)
    assert results(body) == expected


def test_a_sum_over_a_warp() -> None:
    steps = "\n".join(
        f"shfl.sync.bfly.b32 %r2, %r1, {step}, 31, -1;\nadd.u32 %r1, %r1, %r2;" for step in (16, 8, 4, 2, 1)
    )
    assert results(f"mov.b32 %r1, %r0;\n{steps}") == [sum(range(32))] * 32 + [sum(range(32, 64))] * 32


def test_from_a_thread_that_is_not_there_comes_no_number() -> None:
    got = results("mov.b32 %r1, %r0;\nshfl.sync.down.b32 %r1, %r1, 4, 31, -1;", threads=40)
    assert got[:32] == [*range(4, 32), 28, 29, 30, 31]
    assert got[32:] == [36, 37, 38, 39] + [2**32 - 1] * 4


def test_a_shuffle_that_others_do_not_reach_is_found() -> None:
    body = """
    mov.b32 %r1, 0;
    setp.lt.u32 %p1, %r0, 4;
    @%p1 bra SKIP;
    shfl.sync.bfly.b32 %r1, %r0, 1, 31, {mask};
    SKIP:
    """
    with pytest.raises(BarrierFault, match="shfl.sync.bfly.b32"):
        results(body.format(mask="-1"))
    assert results(body.format(mask="0xFFFFFFF0"), 32) == [0] * 4 + [t ^ 1 for t in range(4, 32)]


def test_votes() -> None:
    body = """
    setp.lt.u32 %p1, %r0, {limit};
    vote.sync.ballot.b32 %r1, %p1, -1;
    vote.sync.any.pred %p2, %p1, -1;
    vote.sync.all.pred %p3, %p1, -1;
    vote.sync.uni.pred %p4, !%p1, -1;
    @%p2 add.u32 %r1, %r1, 100;
    @%p3 add.u32 %r1, %r1, 1000;
    @%p4 add.u32 %r1, %r1, 10000;
    """
    assert results(body.format(limit=3)) == [0b111 + 100] * 32 + [10000] * 32
    assert results(body.format(limit=64)) == [(2**32 - 1 + 11100) % 2**32] * 64


def test_special_registers() -> None:
    names = ["%laneid", "%warpid", "%lanemask_lt", "%lanemask_ge", "%lanemask_eq"]
    for name, expected in zip(
        names,
        [
            [t % 32 for t in range(40)],
            [t // 32 for t in range(40)],
            [(1 << t % 32) - 1 for t in range(40)],
            [2**32 - (1 << t % 32) for t in range(40)],
            [1 << t % 32 for t in range(40)],
        ],
        strict=True,
    ):
        assert results(f"mov.u32 %r1, {name};", 40) == expected, name


def test_places_in_three_dimensions() -> None:
    body = """
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %tid.y;
    mov.u32 %r3, %tid.z;
    mov.u32 %r4, %ctaid.x;
    mov.u32 %r5, %ctaid.y;
    mov.u32 %r6, %ntid.x;
    mov.u32 %r7, %nctaid.x;
    mad.lo.u32 %r8, %r3, 3, %r2;
    mad.lo.u32 %r8, %r8, %r6, %r1;
    mad.lo.u32 %r9, %r5, %r7, %r4;
    mad.lo.u32 %r9, %r9, 24, %r8;
    mad.wide.u32 %d9, %r9, 4, %d0;
    mad.lo.u32 %r10, %r5, 10, %r3;
    st.global.b32 [%d9], %r10;
    """
    after, _ = run(kernel(body, 1), [np.zeros((3, 2, 2, 3, 4), np.uint32)], grid=(2, 3, 1), block=(4, 3, 2))
    expected = np.arange(3).reshape(3, 1, 1, 1, 1) * 10 + np.arange(2).reshape(1, 1, 2, 1, 1)
    assert (after[0] == expected).all()
