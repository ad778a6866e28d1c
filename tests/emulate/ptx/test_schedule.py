"""Divergence and barriers."""

from __future__ import annotations

import numpy as np
import pytest

from nincc.emulate.ptx import BarrierFault, TrapFault, schedule
from tests.emulate.ptx.snippets import kernel, run

STORE = "mad.wide.u32 %d9, %r0, 4, %d0;\nst.global.b32 [%d9], %r1;"


def results(body: str, threads: int = 64, **options: bool) -> list[int]:
    """What each thread leaves in %r1."""
    after, _ = run(kernel(body + STORE, 1), [np.zeros(threads, np.uint32)], block=(threads, 1, 1), **options)
    return after[0].tolist()


def test_nested_branches_meet_again() -> None:
    body = """
    and.b32 %r2, %r0, 1;
    setp.eq.u32 %p1, %r2, 0;
    @%p1 bra EVEN;
    mov.b32 %r1, 100;
    bra.uni JOIN;
    EVEN:
    setp.lt.u32 %p2, %r0, 10;
    @!%p2 bra LARGE;
    mov.b32 %r1, 200;
    bra.uni INNER;
    LARGE:
    mov.b32 %r1, 300;
    INNER:
    add.u32 %r1, %r1, 5;
    JOIN:
    activemask.b32 %r3;
    setp.eq.b32 %p3, %r3, -1;
    selp.b32 %r4, 1, 0, %p3;
    add.u32 %r1, %r1, %r4;
    """
    assert results(body) == [101 if t % 2 else 206 if t < 10 else 306 for t in range(64)]


def test_loops_of_different_lengths() -> None:
    body = """
    mov.b32 %r1, 0;
    mov.b32 %r2, %r0;
    LOOP:
    setp.eq.u32 %p1, %r2, 0;
    @%p1 bra DONE;
    add.u32 %r1, %r1, %r2;
    sub.u32 %r2, %r2, 1;
    bra.uni LOOP;
    DONE:
    """
    assert results(body) == [t * (t + 1) // 2 for t in range(64)]


def test_lanes_are_together_again_after_a_loop() -> None:
    body = """
    mov.b32 %r2, %r0;
    LOOP:
    sub.s32 %r2, %r2, 3;
    setp.gt.s32 %p1, %r2, 0;
    @%p1 bra LOOP;
    activemask.b32 %r1;
    """
    assert set(results(body)) == {2**32 - 1}


def test_a_return_on_one_side() -> None:
    body = """
    mov.b32 %r1, 7;
    setp.lt.u32 %p1, %r0, 5;
    @%p1 ret;
    activemask.b32 %r1;
    """
    assert results(body, 32) == [0] * 5 + [2**32 - 32] * 27


def test_guarded_instructions() -> None:
    body = """
    setp.lt.u32 %p1, %r0, 5;
    mov.b32 %r1, 1;
    @%p1 mov.b32 %r1, 2;
    @!%p1 add.u32 %r1, %r1, %r0;
    """
    assert results(body, 8) == [2] * 5 + [6, 7, 8]


def test_jump_tables() -> None:
    body = """
    TABLE: .branchtargets ZERO, ONE, TWO;
    rem.u32 %r2, %r0, 3;
    brx.idx %r2, TABLE;
    ZERO:
    mov.b32 %r1, 10;
    bra.uni END;
    ONE:
    mov.b32 %r1, 11;
    bra.uni END;
    TWO:
    mov.b32 %r1, 12;
    END:
    """
    assert results(body, 40) == [10 + t % 3 for t in range(40)]
    with pytest.raises(TrapFault, match="table"):
        results(body.replace("rem.u32 %r2, %r0, 3", "rem.u32 %r2, %r0, 4"), 40)


def test_a_switch_inside_of_a_loop_counts_each_thread_alone() -> None:
    body = """
    mov.b32 %r1, 0;
    mov.b32 %r2, 0;
    LOOP:
    and.b32 %r3, %r1, 1;
    setp.eq.u32 %p1, %r3, 0;
    @%p1 bra UP;
    add.u32 %r1, %r1, %r0;
    bra.uni NEXT;
    UP:
    add.u32 %r1, %r1, 1;
    NEXT:
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p2, %r2, 6;
    @%p2 bra LOOP;
    """

    def expected(thread: int) -> int:
        value = 0
        for _ in range(6):
            value += 1 if value % 2 == 0 else thread
        return value

    assert results(body) == [expected(t) for t in range(64)]


BARRIER_FOR_SOME = """
    mov.b32 %r1, 0;
    setp.lt.u32 %p1, %r0, {limit};
    @%p1 bra SKIP;
    bar.sync 0;
    SKIP:
    """


def test_a_barrier_in_a_divergent_warp_is_found() -> None:
    with pytest.raises(BarrierFault, match=r"kernel 'k', PTX line \d+ \(bar.sync\), thread \(\d+, 0, 0\) of block"):
        results(BARRIER_FOR_SOME.format(limit=5))


def test_a_barrier_that_lanes_of_a_warp_never_reach_is_found() -> None:
    """The form without ``.aligned`` allows a divergent warp, but its other lanes wait behind the branch."""
    body = BARRIER_FOR_SOME.format(limit=5).replace("bar.sync", "barrier.cta.sync")
    with pytest.raises(BarrierFault, match="never reach"):
        results(body)
    assert results(body.replace(", 5;", ", 0;")) == [0] * 64


def test_an_endless_loop_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "LONGEST", 1000)
    with pytest.raises(TrapFault, match="still runs after 1000"):
        results("mov.b32 %r1, 0;\nNEVER:\nbra.uni NEVER;\n")


def test_warps_may_meet_at_different_barriers() -> None:
    body = """
    .shared .align 4 .b8 word[8];
    mov.b32 %r1, 0;
    shr.u32 %r2, %r0, 5;
    mov.u64 %d5, word;
    mad.wide.u32 %d6, %r2, 4, %d5;
    and.b32 %r3, %r0, 31;
    setp.ne.u32 %p2, %r3, 0;
    @%p2 bra READY;
    add.u32 %r4, %r2, 40;
    st.shared.b32 [%d6], %r4;
    READY:
    setp.lt.u32 %p1, %r0, 32;
    @%p1 bra FIRST;
    bar.sync 0;
    ld.shared.b32 %r1, [word];
    bra.uni JOIN;
    FIRST:
    bar.sync 0;
    ld.shared.b32 %r1, [word+4];
    JOIN:
    """
    assert results(body) == [41] * 32 + [40] * 32


def test_blocks_leave_a_loop_with_barriers_at_different_times() -> None:
    body = """
    .shared .align 4 .b8 total[4];
    mov.u32 %r5, %ctaid.x;
    mov.b32 %r2, 0;
    setp.ne.u32 %p2, %r0, 0;
    LOOP:
    bar.sync 0;
    @%p2 bra WAIT;
    st.shared.b32 [total], %r2;
    WAIT:
    bar.sync 0;
    ld.shared.b32 %r1, [total];
    add.u32 %r2, %r2, 1;
    setp.le.u32 %p1, %r2, %r5;
    @%p1 bra LOOP;
    mad.lo.u32 %r6, %r5, 32, %r0;
    mad.wide.u32 %d9, %r6, 4, %d0;
    st.global.b32 [%d9], %r1;
    """
    after, counts = run(kernel(body, 1), [np.zeros(160, np.uint32)], grid=(5, 1, 1), block=(32, 1, 1))
    assert after[0].reshape(5, 32).tolist() == [[block] * 32 for block in range(5)]
    assert counts.instructions["barrier"] == 32 * 2 * (1 + 2 + 3 + 4 + 5)


def test_threads_that_have_returned_are_not_waited_for() -> None:
    body = """
    mov.b32 %r1, 3;
    setp.ge.u32 %p1, %r0, 40;
    @%p1 ret;
    bar.sync 0;
    """
    assert results(body) == [3] * 40 + [0] * 24


def test_a_trap_is_a_fault() -> None:
    with pytest.raises(TrapFault, match=r"thread \(9, 0, 0\) of block \(0, 0, 0\): the kernel stops itself"):
        results("mov.b32 %r1, 0;\nsetp.eq.u32 %p1, %r0, 9;\n@%p1 trap;\n")


def test_longest_thread_and_counts_by_hand() -> None:
    """Thread t runs 2 + 3 + 3·(t + 1) + 3 instructions: start, head, its loop, the store and the end."""
    body = """
    mov.b32 %r1, 0;
    mov.b32 %r2, %r0;
    mov.b32 %r3, 1;
    LOOP:
    sub.s32 %r2, %r2, 1;
    setp.ge.s32 %p1, %r2, 0;
    @%p1 bra LOOP;
    """
    after, counts = run(kernel(body + STORE, 1), [np.zeros(48, np.uint32)], block=(48, 1, 1))
    assert after[0].tolist() == [0] * 48
    turns = sum(range(1, 49))
    assert dict(counts.instructions) == {
        "load_const": 48,
        "move": 4 * 48,
        "integer": turns + 48,
        "predicate": turns,
        "control": turns + 48,
        "store_global": 48,
    }
    assert counts.total == 48 * 8 + 3 * turns
    assert counts.longest_thread == 8 + 3 * 48
