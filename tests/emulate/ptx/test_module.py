"""Modules: what is read, what is refused, and chunks that change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from nincc.emulate.ptx import Memory, Module
from nincc.emulate.ptx.flow import EXIT, control_flow, immediate_post_dominators
from nincc.emulate.ptx.parse import parse_module
from nincc.errors import InternalError
from tests.emulate.ptx.snippets import HEADER, kernel, run

FULL = (
    HEADER
    + """
.visible .global .align 8 .b8 bytes[3] = {1, 2, 255};
.weak .const .align 4 .f32 numbers[2] = {0f3F800000, 0f40000000};
.extern .shared .align 16 .b8 dynamic[];
.func (.param .b32 result) helper(.param .b32 value) { .reg .b32 %r<2>; ret; }
.func declared(.param .b32 value);
/* a comment */
.visible .entry first(.param .u64 .ptr .global .align 16 a, .param .f32 scale, .param .align 8 .b8 pair[16])
.maxntid 128, 1, 1
.minnctapersm 2
{
	.reg .pred 	%p<3>;   // another one
	.reg .f32 	%f<4>;
	.reg .b32 	%r<4>, extra;
	.reg .b64 	%rd<4>;
	.loc 1 20 3
	.pragma "nounroll";
	ld.param.u64 	%rd1, [a];
	ld.param.f32 %f1, [scale];
	ld.param.b64 %rd2, [pair+8];
	{
	st.global.f32 [%rd1+4], %f1;
	st.global.b64 [%rd1+-8+16], %rd2;
	}
	mov.b32 extra, WARP_SZ;
	st.global.b32 [%rd1], extra;
	exit;
}
.entry second()
{
	ret;
}
"""
)


def test_everything_of_a_module_is_read() -> None:
    module = parse_module(FULL)
    assert list(module.kernels) == ["first", "second"]
    assert [(p.name, p.offset, p.size) for p in module.kernels["first"].parameters] == [
        ("a", 0, 8),
        ("scale", 8, 4),
        ("pair", 16, 16),
    ]
    assert module.variables["bytes"].initial == b"\1\2\xff"
    assert module.variables["numbers"].initial == np.array([1, 2], np.float32).tobytes()
    assert (module.variables["dynamic"].size, module.variables["dynamic"].align) == (0, 16)


def test_parameters_of_all_kinds_reach_the_kernel() -> None:
    memory = Memory()
    place = memory.allocate(16)
    scale = int(np.float32(2.5).view(np.uint32))
    Module(FULL).launch("first", (1, 1, 1), (1, 1, 1), 0, [place, scale, 77 << 64], memory)
    data = memory.read(place, 16)
    assert np.frombuffer(data[:4], np.uint32)[0] == 32
    assert np.frombuffer(data[4:8], np.float32)[0] == 2.5
    assert int.from_bytes(data[8:], "little") == 77


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (kernel("frob.b32 %r1, %r2;"), r"PTX line 13: .*'frob.b32'"),
        (kernel("add.u32 %r1, %x2, 1;"), "PTX line 13: unknown register '%x2'"),
        (kernel("bra NOWHERE;"), "'bra'"),
        (kernel("bar.sync 1;"), "bar.sync of another barrier"),
        (kernel("bar.sync 0, 64;"), "bar.sync"),
        (kernel("call.uni helper, (%r1);"), "call.uni"),
        (HEADER + "~", "PTX line 4: cannot read"),
        (HEADER + "entry k()", "a directive is expected"),
        (HEADER + ".entry k() { .reg .b32 %r<2>; add", "ends too early"),
        (HEADER + ".entry k() { .reg .b7 %r<2>; }", r"type '.b7'"),
    ],
)
def test_what_is_not_known_is_an_error_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        Module(text)


def test_a_variable_that_does_not_exist() -> None:
    with pytest.raises(InternalError, match="names 'nothing', which its PTX does not declare"):
        run(kernel("mov.u64 %d5, nothing;"), [])


def test_launches_that_do_not_fit_the_kernel() -> None:
    module, memory = Module(kernel("", 1)), Memory()
    with pytest.raises(InternalError, match="no kernel 'other', but k"):
        module.launch("other", (1, 1, 1), (1, 1, 1), 0, [0], memory)
    with pytest.raises(InternalError, match="takes 1 arguments, 2 are given"):
        module.launch("k", (1, 1, 1), (1, 1, 1), 0, [0, 0], memory)
    with pytest.raises(InternalError, match="blocks of"):
        module.launch("k", (1, 1, 1), (1025, 1, 1), 0, [0], memory)


def test_chunks_change_neither_result_nor_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
    .shared .align 16 .b8 box[192];
    mov.u32 %r1, %ctaid.x;
    mad.lo.u32 %r2, %r1, 48, %r0;
    mov.u64 %d5, box;
    mad.wide.u32 %d6, %r0, 4, %d5;
    mul.lo.u32 %r3, %r2, %r2;
    st.shared.b32 [%d6], %r3;
    bar.sync 0;
    sub.u32 %r4, 47, %r0;
    mad.wide.u32 %d6, %r4, 4, %d5;
    ld.shared.b32 %r5, [%d6];
    mad.wide.u32 %d7, %r2, 4, %d0;
    st.global.b32 [%d7], %r5;
    """
    array = [np.zeros((7, 48), np.uint32)]
    whole, counts = run(kernel(body, 1), array, grid=(7, 1, 1), block=(48, 1, 1))
    assert (whole[0] == (np.arange(7 * 48).reshape(7, 48) ** 2)[:, ::-1]).all()
    monkeypatch.setattr("nincc.emulate.ptx.module.LANES", 100)
    parts, again = run(kernel(body, 1), array, grid=(7, 1, 1), block=(48, 1, 1))
    assert (parts[0] == whole[0]).all()
    assert again == counts


def test_meeting_points_of_a_graph() -> None:
    #   0 → 1 | 2;  1 → 3;  2 → 4 | 5;  4 → 3;  5 → exit;  3 → 0 | exit
    graph = [(1, 2), (3,), (4, 5), (0, EXIT), (3,), (EXIT,)]
    assert immediate_post_dominators(graph) == [EXIT, 3, EXIT, EXIT, 3, EXIT]
    diamond = [(1, 2), (3,), (3,), (4,), (EXIT,)]
    assert immediate_post_dominators(diamond) == [3, 3, 3, 4, EXIT]
    assert immediate_post_dominators([(1,), (1,)]) == [EXIT, EXIT]


def test_blocks_of_a_kernel() -> None:
    text = kernel("setp.eq.u32 %p1, %r0, 0;\n@%p1 bra A;\nmov.b32 %r1, 1;\nA:\nbar.sync 0;\nmov.b32 %r1, 2;")
    blocks = control_flow(parse_module(text).kernels["k"])
    assert [block.successors for block in blocks] == [(2, 1), (2,), (3,), (EXIT,)]
    assert [block.meeting for block in blocks] == [2, 2, 3, EXIT]
