"""Kernels around a few lines of PTX, and what they do to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from nincc.emulate.ptx import Counts, Memory, Module

HEADER = ".version 7.8\n.target sm_80\n.address_size 64\n"
REGISTERS = """
	.reg .pred %p<16>;
	.reg .b16 %h<16>;
	.reg .b32 %r<32>;
	.reg .b64 %d<32>;
"""
MOVES = {1: "b8", 2: "b16", 4: "b32", 8: "b64"}


def kernel(body: str, parameters: int = 0, declarations: str = "", name: str = "k") -> str:
    """A module of one kernel.  Parameter i is in %d<i>, the number of the thread in its block in %r0."""
    listed = ",\n".join(f".param .u64 .ptr .global .align 16 {name}_param_{i}" for i in range(parameters))
    loads = "\n".join(f"ld.param.b64 %d{i}, [{name}_param_{i}];" for i in range(parameters))
    return (
        f"{HEADER}{declarations}\n.visible .entry {name}({listed})\n{{{REGISTERS}{loads}\n"
        f"mov.u32 %r0, %tid.x;\n{body}\n\tret;\n}}\n"
    )


def run(
    text: str,
    arrays: Sequence[np.ndarray[Any, Any]],
    *,
    grid: tuple[int, int, int] = (1, 1, 1),
    block: tuple[int, int, int] = (1, 1, 1),
    shared: int = 0,
    **options: bool,
) -> tuple[list[np.ndarray[Any, Any]], Counts]:
    """The arrays after the module's only kernel has run on them, one a parameter, and what it counted."""
    module = _module(text)
    memory = Memory()
    places = [memory.allocate(array.nbytes) for array in arrays]
    for place, array in zip(places, arrays, strict=True):
        memory.write(place, array)
    counts = module.launch(module.kernels[0], grid, block, shared, places, memory, **options)
    after = [
        np.frombuffer(memory.read(place, array.nbytes), array.dtype).reshape(array.shape)
        for place, array in zip(places, arrays, strict=True)
    ]
    return after, counts


@cache
def _module(text: str) -> Module:
    return Module(text)


def compute(line: str, sources: Sequence[np.ndarray[Any, Any]], result: Any) -> np.ndarray[Any, Any]:
    """``line`` done by one thread for each element: it finds its operands in A, B, C and leaves the result in D.

    A, B, C and D in it stand for registers of the right widths; P for a predicate register.
    """
    count = sources[0].size
    dtype = np.dtype(result)
    body, places = "", {}
    for number, source in enumerate(sources):
        size = source.dtype.itemsize
        places["ABC"[number]] = _register(size, 10 + number)
        body += f"mad.wide.u32 %d20, %r0, {size}, %d{number};\n"
        body += f"ld.global.{MOVES[size]} {places['ABC'[number]]}, [%d20];\n"
    places["D"] = _register(dtype.itemsize, 15)
    for name, register in places.items():
        line = _replaced(line, name, register)
    line = _replaced(line, "P", "%p1")
    body += line + f"\nmad.wide.u32 %d20, %r0, {dtype.itemsize}, %d{len(sources)};\n"
    body += f"st.global.{MOVES[dtype.itemsize]} [%d20], {places['D']};"
    out = np.zeros(count, dtype)
    after, _ = run(kernel(body, len(sources) + 1), [*sources, out], block=(count, 1, 1))
    return after[-1]


def _register(size: int, number: int) -> str:
    return f"%{ {1: 'h', 2: 'h', 4: 'r', 8: 'd'}[size] }{number}"


def _replaced(line: str, name: str, register: str) -> str:
    words = {f"{before}{name}{after}": f"{before}{register}{after}" for before in " {|" for after in ",;}|"}
    for old, new in words.items():
        line = line.replace(old, new)
    return line
