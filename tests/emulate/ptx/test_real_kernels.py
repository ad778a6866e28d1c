"""Kernels that LLVM made: right, counted as worked out by hand, and every mutation of them is caught."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from codegen.gpu_running import gpu, ptx_of
from nincc._tvm import tvm
from nincc.codegen.cuda.machine import schedule_target
from nincc.codegen.cuda.split import split_kernels
from nincc.emulate.ptx import AddressFault, Counts, KernelFault, Memory, Module, RaceFault

te = tvm.te
M, N, K = 64, 32, 48
TILE, DEPTH = 16, 8
BLOCKS, THREADS = (M // TILE) * (N // TILE), TILE * TILE
A = np.random.default_rng(1).standard_normal((M, K)).astype(np.float32)
B = np.random.default_rng(2).standard_normal((K, N)).astype(np.float32)
EXACT = A.astype(np.float64) @ B.astype(np.float64)


@dataclass(frozen=True)
class Product:
    """A matrix product through tiles in shared memory: its PTX and how it is launched."""

    ptx: str
    name: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    order: tuple[int, ...]

    def run(self, ptx: str, *, check: bool = True) -> tuple[np.ndarray, Counts]:
        memory = Memory()
        places = [memory.allocate(array.nbytes) for array in (A, B, EXACT.astype(np.float32))]
        memory.write(places[0], A)
        memory.write(places[1], B)
        arguments = [places[number] for number in self.order]
        counts = Module(ptx).launch(
            self.name, self.grid, self.block, 0, arguments, memory, detect_races=check, detect_uninitialised=check
        )
        return np.frombuffer(memory.read(places[2], 4 * M * N), np.float32).reshape(M, N), counts

    def is_right(self, ptx: str) -> bool:
        found, _ = self.run(ptx)
        return bool(np.abs(found - EXACT).max() <= 1e-5)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    target = gpu()
    func = tvm.lower(*_schedule(), name="product")["product"]
    kernels = split_kernels("product", func, schedule_target(target))
    (call,) = kernels.calls
    ptx = ptx_of(kernels, target, Path(tmp_path_factory.mktemp("ptx")))
    return Product(ptx, call.kernel, call.launch.grid, call.launch.block, call.arguments)


def _schedule() -> tuple[object, list[object]]:
    left, right = te.placeholder((M, K), name="left"), te.placeholder((K, N), name="right")
    k = te.reduce_axis((0, K), name="k")
    out = te.compute((M, N), lambda i, j: te.sum(left[i, k] * right[k, j], axis=k), name="out")
    s = te.create_schedule(out.op)
    tiles = [s.cache_read(source, "shared", [out]) for source in (left, right)]
    sums = s.cache_write(out, "local")
    block_y, block_x, y, x = s[out].tile(*s[out].op.axis, TILE, TILE)
    ty, tx = te.thread_axis((0, TILE), "threadIdx.y"), te.thread_axis((0, TILE), "threadIdx.x")
    for axis, thread in zip((block_y, block_x, y, x), ("blockIdx.y", "blockIdx.x", ty, tx), strict=True):
        s[out].bind(axis, te.thread_axis(thread) if isinstance(thread, str) else thread)
    s[sums].compute_at(s[out], x)
    outer, inner = s[sums].split(s[sums].op.reduce_axis[0], DEPTH)
    s[sums].unroll(inner)
    for tile in tiles:
        s[tile].compute_at(s[sums], outer)
        rest, fast = s[tile].split(s[tile].fuse(*s[tile].op.axis), TILE)
        _, slow = s[tile].split(rest, TILE)
        s[tile].bind(fast, tx)
        s[tile].bind(slow, ty)
    return s, [left, right, out]


def test_the_product_is_right_and_clean(product: Product) -> None:
    found, _ = product.run(product.ptx)
    np.testing.assert_allclose(found, EXACT, atol=1e-5)


def test_its_counts_are_those_worked_out_by_hand(product: Product) -> None:
    _, counts = product.run(product.ptx)
    turns = K // DEPTH
    loaded = BLOCKS * turns * 2 * TILE * DEPTH
    assert (counts.blocks, counts.threads) == (BLOCKS, BLOCKS * THREADS)
    assert counts.instructions["fma"] == M * N * K
    assert counts.instructions["barrier"] == BLOCKS * THREADS * 2 * turns
    assert counts.instructions["load_global"] == counts.instructions["store_shared"] == loaded
    assert counts.instructions["store_global"] == M * N
    assert (counts.read_bytes, counts.write_bytes) == (4 * loaded, 4 * M * N)
    # A warp loads two rows of 8 neighbouring floats of the left, or of 16 of the right matrix.
    assert counts.read_sectors == loaded // 8
    assert counts.unique_read_sectors == 4 * (M * K + K * N) // 32
    assert counts.unique_write_sectors == counts.write_sectors == 4 * M * N // 32
    assert counts.longest_thread == max(counts.longest_thread, counts.total // counts.threads)


def without_line(ptx: str, pattern: str) -> Iterator[str]:
    """The text without each of the lines that match, in turn."""
    lines = ptx.split("\n")
    for number, line in enumerate(lines):
        if re.search(pattern, line):
            yield "\n".join([*lines[:number], *lines[number + 1 :]])


def test_each_barrier_that_is_deleted_is_missed(product: Product) -> None:
    first, *others = without_line(product.ptx, r"bar\.sync")
    assert len(others) == 2 * K // DEPTH - 1
    assert product.is_right(first)  # nothing was read yet that could be overwritten
    for mutant in others:
        with pytest.raises(RaceFault, match="no barrier orders them"):
            product.run(mutant)


def shifted(ptx: str) -> Iterator[str]:
    """The text with each address of a load or a store moved by one float, in turn."""
    for match in re.finditer(r"(?:ld|st)\.(?:global|shared)[^;]*\[(%\w+)(\+-?\d+)?\]", ptx):
        offset = int(match[2] or 0) + 4
        yield f"{ptx[: match.end(1)]}+{offset}{ptx[match.end() - 1 :]}"


def test_each_index_that_is_shifted_is_noticed(product: Product) -> None:
    mutants = list(islice(shifted(product.ptx), 0, None, 2))
    assert len(mutants) > 40
    faults = 0
    for mutant in mutants:
        try:
            assert not product.is_right(mutant)
        except KernelFault:
            faults += 1
    assert faults > 0


def test_each_instruction_that_is_deleted_is_noticed(product: Product) -> None:
    mutants = without_line(product.ptx, r"^\s*(?:fma|add|mad|shl|ld|st|mul)\S*\s")
    for mutant in islice(mutants, 0, None, 4):
        try:
            assert not product.is_right(mutant)
        except KernelFault:
            continue


def test_too_large_a_grid_is_noticed(product: Product) -> None:
    wider = Product(product.ptx, product.name, (product.grid[0], product.grid[1] + 1, 1), product.block, product.order)
    with pytest.raises(AddressFault):
        wider.run(product.ptx)
