"""Items that tasks share: each is done once, by whoever is free."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from kernels.harness import link, target_of
from nincc._tvm import tvm
from nincc.codegen.objects import emit_object
from nincc.codegen.scratch import hoist_scratch
from nincc.kernels.emit import Emitter
from nincc.kernels.sharing import shared_items

ROUNDS = 300


def counting_kernel(total, tasks, work):
    """A PrimFunc that adds 1 to each item's count ``work`` times and writes which task did it to ``who[item]``."""
    counts, who = (tvm.tir.decl_buffer((total,), "float32", name=name) for name in ("counts", "who"))
    em = Emitter(4)
    seen, by = em.view(counts), em.view(who)
    with shared_items(em, total, tasks) as (task, item):
        with em.loop(work, "turn"):
            seen[item] = seen[item] + 1.0
        by[item] = tvm.tir.Cast("float32", task)
    return tvm.tir.PrimFunc([counts.data, who.data], em.ib.get())


def library_of(folder, total, tasks, shim, work=1):
    hoisted = hoist_scratch(counting_kernel(total, tasks, work), tasks)
    kernel = emit_object("counting", hoisted.func, target_of(4), folder)
    library = folder / "counting.so"
    link([kernel], library, shim)
    scratch = [np.zeros(size + 64, np.uint8) for size in hoisted.scratch_bytes]
    return ctypes.CDLL(str(library)).counting, scratch


def run(entry, scratch, total):
    counts, who = np.zeros(total, np.float32), np.full(total, -1, np.float32)
    pointers = [array.ctypes.data for array in (counts, who)]
    pointers += [array.ctypes.data + -array.ctypes.data % 64 for array in scratch]
    assert entry(*map(ctypes.c_void_p, pointers)) == 0
    return counts, who


@pytest.mark.parametrize(("total", "tasks"), [(1, 1), (7, 1), (3, 4), (4, 4), (5, 4), (64, 2), (97, 8)])
def test_each_item_is_done_once(tmp_path, total, tasks):
    entry, scratch = library_of(tmp_path, total, tasks, "threaded_shim", work=50)
    for _ in range(ROUNDS):
        counts, who = run(entry, scratch, total)
        assert (counts == 50).all() and ((who >= 0) & (who < tasks)).all()


def test_who_is_done_helps_the_others(tmp_path):
    """Tasks that run one after the other, the last first, leave nothing to the later ones."""
    entry, scratch = library_of(tmp_path, 10, 3, "parallel_shim")
    counts, who = run(entry, scratch, 10)
    assert (counts == 1).all() and (who == 2).all()


def test_as_many_items_as_tasks_are_not_shared(tmp_path):
    entry, scratch = library_of(tmp_path, 3, 3, "parallel_shim")
    assert not scratch and run(entry, scratch, 3)[1].tolist() == [0, 1, 2]


def test_every_task_begins_with_its_own_share(tmp_path):
    """Where each item takes long, the first and the last are their owners'."""
    entry, scratch = library_of(tmp_path, 64, 2, "threaded_shim", work=2_000_000)
    counts, who = run(entry, scratch, 64)
    assert (counts == 2_000_000).all() and who[0] == 0 and who[32] == 1
