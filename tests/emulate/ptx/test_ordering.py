"""The race detector: what a barrier orders, and what not."""

from __future__ import annotations

import numpy as np
import pytest

from nincc.emulate.ptx import Memory, Module, RaceFault
from tests.emulate.ptx.snippets import kernel, run

REVERSE = """
.shared .align 16 .b8 box[{bytes}];
mov.u64 %d5, box;
mad.wide.u32 %d6, %r0, 4, %d5;
st.shared.b32 [%d6], %r0;
{first}
xor.b32 %r2, %r0, {other};
mad.wide.u32 %d7, %r2, 4, %d5;
ld.shared.b32 %r1, [%d7];
{second}
st.shared.b32 [%d6], %r1;
mad.wide.u32 %d9, %r0, 4, %d0;
st.global.b32 [%d9], %r1;
"""


def reverse(first: str = "bar.sync 0;", second: str = "bar.sync 0;", other: int = 63, threads: int = 64) -> list[int]:
    text = kernel(REVERSE.format(bytes=4 * threads, first=first, second=second, other=other), 1)
    after, _ = run(text, [np.zeros(threads, np.uint32)], block=(threads, 1, 1))
    return after[0].tolist()


def test_ordered_accesses_are_no_race() -> None:
    assert reverse() == list(range(63, -1, -1))


def test_either_barrier_is_needed() -> None:
    with pytest.raises(RaceFault, match="this read and a write by thread"):
        reverse(first="")
    with pytest.raises(RaceFault, match="this write and a read by thread"):
        reverse(second="")


def test_a_warp_barrier_orders_within_the_warp_only() -> None:
    warp = "bar.warp.sync -1;"
    assert reverse(warp, warp, other=31) == [t ^ 31 for t in range(64)]
    with pytest.raises(RaceFault):
        reverse(warp, warp, other=63)
    with pytest.raises(RaceFault):
        reverse(warp, "", other=31)


def test_threads_keep_to_themselves_without_barriers() -> None:
    assert reverse("", "", other=0) == list(range(64))


def test_two_threads_write_one_word() -> None:
    body = ".shared .align 4 .b8 box[4];\nst.shared.b32 [box], 1;\nst.global.b32 [%d0], 1;"
    with pytest.raises(RaceFault, match="this write and a write by"):
        run(kernel(body, 1), [np.zeros(1, np.uint32)], block=(2, 1, 1))
    run(kernel(body, 1), [np.zeros(1, np.uint32)])
    run(kernel(body, 1), [np.zeros(1, np.uint32)], block=(2, 1, 1), detect_races=False)


GLOBAL = """
mov.u32 %r1, %ctaid.x;
mad.lo.u32 %r2, %r1, 32, %r0;
mad.wide.u32 %d5, %r2, 4, %d0;
ld.global.b32 %r3, [%d5+{read}];
{barrier}
st.global.b32 [%d5], %r3;
"""


def test_races_between_blocks_are_found_whatever_their_order() -> None:
    array = np.arange(200, dtype=np.uint32)
    run(kernel(GLOBAL.format(read=0, barrier=""), 1), [array], grid=(4, 1, 1), block=(32, 1, 1))
    with pytest.raises(RaceFault):
        run(kernel(GLOBAL.format(read=4, barrier="bar.sync 0;"), 1), [array], grid=(4, 1, 1), block=(32, 1, 1))
    # In one block the barrier orders them.
    run(kernel(GLOBAL.format(read=4, barrier="bar.sync 0;"), 1), [array], block=(32, 1, 1))
    with pytest.raises(RaceFault):
        run(kernel(GLOBAL.format(read=4, barrier=""), 1), [array], block=(32, 1, 1))


def test_a_race_between_blocks_of_different_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nincc.emulate.ptx.module.LANES", 32)
    array = np.arange(200, dtype=np.uint32)
    run(kernel(GLOBAL.format(read=0, barrier=""), 1), [array], grid=(4, 1, 1), block=(32, 1, 1))
    with pytest.raises(RaceFault, match=r"block \(\d, 0, 0\)"):
        run(kernel(GLOBAL.format(read=4, barrier="bar.sync 0;"), 1), [array], grid=(4, 1, 1), block=(32, 1, 1))


def test_launches_are_ordered() -> None:
    module, memory = Module(kernel(GLOBAL.format(read=128, barrier="bar.sync 0;"), 1)), Memory()
    place = memory.allocate(1024)
    memory.write(place, np.arange(256, dtype=np.uint32))
    for _ in range(3):
        module.launch("k", (1, 1, 1), (32, 1, 1), 0, [place], memory)
    assert np.frombuffer(memory.read(place, 128), np.uint32).tolist() == list(range(32, 64))


def test_atomics_race_with_plain_accesses_only() -> None:
    atomic = "red.global.add.u32 [%d0], 1;"
    run(kernel(atomic * 2, 1), [np.zeros(1, np.uint32)], grid=(2, 1, 1), block=(64, 1, 1))
    with pytest.raises(RaceFault, match="read and a atomic|atomic and a read"):
        run(kernel(atomic + "ld.global.b32 %r1, [%d0];", 1), [np.zeros(1, np.uint32)], block=(64, 1, 1))
    run(kernel(atomic + "bar.sync 0;ld.global.b32 %r1, [%d0];", 1), [np.zeros(1, np.uint32)], block=(64, 1, 1))
    with pytest.raises(RaceFault):
        run(kernel(atomic + "bar.sync 0;ld.global.b32 %r1, [%d0];", 1), [np.zeros(1, np.uint32)], grid=(2, 1, 1))


def races(accesses: list[tuple[int, str, int]]) -> bool:
    """By definition: two threads, one word, at least one write, and no barrier (None) between."""
    interval: list[tuple[int, str, int]] = []
    for access in accesses:
        if access[1] == "bar":
            interval = []
            continue
        for other in interval:
            if other[0] != access[0] and other[2] == access[2] and "st" in (other[1], access[1]):
                return True
        interval.append(access)
    return False


def pattern(draw: np.random.Generator) -> tuple[str, list[tuple[int, str, int]]]:
    """Five steps: in each, some threads read or write some word, or all meet."""
    body, accesses = ".shared .align 4 .b8 box[16];\n", []
    for step in range(5):
        if draw.random() < 0.4:
            body += "bar.sync 0;\n"
            accesses.append((-1, "bar", -1))
            continue
        threads = draw.choice([0, 1, 33, 63, 95], size=draw.integers(1, 3), replace=False).tolist()
        kind, word = draw.choice(["ld", "ld", "st"]), int(draw.integers(0, 2)) * 4
        body += "mov.pred %p1, 0;\n"
        body += "".join(f"setp.eq.u32 %p2, %r0, {thread};\nor.pred %p1, %p1, %p2;\n" for thread in threads)
        body += f"@!%p1 bra S{step};\n"
        body += f"ld.shared.b32 %r1, [box+{word}];\n" if kind == "ld" else f"st.shared.b32 [box+{word}], %r0;\n"
        body += f"S{step}:\n"
        accesses += [(thread, str(kind), word) for thread in threads]
    return body, accesses


def test_random_access_patterns_against_the_definition() -> None:
    draw = np.random.default_rng(3)
    seen = [0, 0]
    for _ in range(150):
        body, accesses = pattern(draw)
        expected = races(accesses)
        seen[expected] += 1
        try:
            run(kernel(body), [], block=(96, 1, 1))
        except RaceFault:
            assert expected, body
        else:
            assert not expected, body
    assert min(seen) > 30, seen
