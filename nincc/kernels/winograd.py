"""Convolution by Winograd F(m, r): square kernels, any stride (by polyphase), NCHW or NHWC source, fused pool.

Stage 1 gathers the source on a zero-padded map (:mod:`nincc.kernels.gather`).  Stage 2 transforms n × n tiles of it
to ``V[element][tile][channel]``, column by column of a tile's elements.  Stage 3 multiplies each element's matrix by
its weights to ``[tile][unit]``; stage 4 transforms a column's n products to m values while they are in the L1 cache,
and all rows once the last column is done, with bias and activation.  Where few channels are summed, products pass from
registers into stage 4.  V and M, the columns half transformed, hold blocks of tiles that stay in the L2 cache.  The
steps between elements are padded by a cache line, lest they share cache sets, and the next weight panel is fetched
while one is used.  This module walks the blocks, in one of three orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nincc._tvm import tvm
from nincc.kernels.emit import Emitter, Expr, View, div, mod
from nincc.kernels.gather import Gather, gather_row
from nincc.kernels.sharing import shared_items
from nincc.kernels.winograd_spec import Winograd, winograd_spec
from nincc.kernels.winograd_stages import Part, Stages

tir, te = tvm.tir, tvm.te


def conv2d_winograd(data: Any, weight: Any, bias: Any, attrs: Mapping[str, Any]) -> Any:
    """``nincc.conv2d_winograd``: x, weight [panels · n², depth, NR], bias [NO * NR] → [N, OH, OW, Np].

    Weights are those of :func:`nincc.kernels.winograd_weights.pack_winograd`.
    """
    plan = winograd_spec(tuple(int(v) for v in data.shape), attrs)

    def body(inputs: Any, outputs: Any) -> Any:
        em = Emitter(plan.conv.lanes)
        source, u, b = (em.view(buffer) for buffer in inputs)
        gather = winograd_gather(plan)
        walk = _Walk(em, plan, gather, source, Stages(em, plan, gather, u, b, em.view(outputs[0])))
        {"tile": walk.by_tiles, "unit": walk.by_units, "image": walk.by_images}[plan.order]()
        return em.ib.get()

    out_shape = plan.conv.out_shape
    return te.extern(out_shape, [data, weight, bias], body, name="nincc_winograd", dtype="float32")


def winograd_gather(plan: Winograd) -> Gather:
    """The map whose tiles stage 2 reads: phases side by side as channels, every tile whole."""
    rows, cols = plan.map_size
    s = plan.phases
    return Gather(plan.conv, rows * s, cols * s, (s, s), plan.stride)


@dataclass(frozen=True)
class _Walk:
    """Visits all blocks of tiles and units."""

    em: Emitter
    plan: Winograd
    gather: Gather
    source: View
    stages: Stages

    def by_images(self) -> None:
        """Tasks share groups of images and do everything for one, so that its map stays in the task's cache."""
        em, plan, gather = self.em, self.plan, self.gather
        tasks = min(plan.conv.tasks, plan.groups)
        own = em.task_scratch(tasks, [plan.group * gather.image_elements, plan.v_size, plan.m_size])
        with shared_items(em, plan.groups, tasks, "group") as (task, group):
            here, v, m = own(task)
            first = em.scalar(group * plan.group, "first")
            images = plan.group
            if plan.groups * plan.group > plan.conv.batch:
                images = em.scalar(tir.min(plan.group, plan.conv.batch - first), "images")
            with em.loop(images, "i") as image, em.loop(gather.rows, "row") as row:
                gather_row(em, gather, self.source, here.at(image * gather.image_elements), first + image, row)
            part = Part(here, first, images * (plan.grid[0] * plan.grid[1]))
            with em.loop(plan.group_blocks, "tb") as block:
                self._tile_block(part, v, m, block)

    def by_tiles(self) -> None:
        """All images are gathered first; then tasks share the blocks of tiles, each with all units."""
        em, plan = self.em, self.plan
        part = self._gather_all()
        tasks = min(plan.conv.tasks, plan.tile_blocks)
        own = em.task_scratch(tasks, [plan.v_size, plan.m_size])
        with shared_items(em, plan.tile_blocks, tasks, "tb") as (task, block):
            v, products = own(task)
            self._tile_block(part, v, products, block)

    def by_units(self) -> None:
        """All tiles are transformed first; then tasks share the blocks of units, each with all tiles."""
        em, plan = self.em, self.plan
        part = self._gather_all()
        items = plan.unit_blocks * plan.tile_blocks
        v = em.scratch(plan.tile_blocks * plan.v_size, "v")
        own = em.task_scratch(min(plan.conv.tasks, items), [plan.m_size])
        slots = plan.tile_blocks * plan.tile_block
        with shared_items(em, slots, plan.conv.tasks, "t") as (_, tile):
            block = em.scalar(div(tile, plan.tile_block), "tb")
            self.stages.transform_in(part, v.at(block * plan.v_size), tile, mod(tile, plan.tile_block))
        with shared_items(em, items, plan.conv.tasks) as (task, item):
            block = em.scalar(mod(item, plan.tile_blocks), "tb")
            units = em.scalar(div(item, plan.tile_blocks), "ub")
            (products,) = own(task)
            self.stages.unit_block(part, v.at(block * plan.v_size), products, block, units)

    def _gather_all(self) -> Part:
        """Stage 1 for the whole batch, tasks sharing the rows."""
        em, gather, conv = self.em, self.gather, self.plan.conv
        maps = em.scratch(conv.batch * gather.image_elements, "map")
        with em.tasks(conv.batch * gather.rows, conv.tasks) as (_, begin, end), em.span(begin, end, "line") as line:
            image = em.scalar(div(line, gather.rows), "image")
            row = em.scalar(mod(line, gather.rows), "y")
            gather_row(em, gather, self.source, maps.at(image * gather.image_elements), image, row)
        return Part(maps, 0, self.plan.tiles)

    def _tile_block(self, part: Part, v: View, products: View, block: Expr) -> None:
        """One block of tiles from transform to output, all units."""
        em, plan = self.em, self.plan
        with em.loop(plan.tile_block, "t") as slot:
            self.stages.transform_in(part, v, block * plan.tile_block + slot, slot)
        with em.loop(plan.unit_blocks, "ub") as units:
            self.stages.unit_block(part, v, products, block, units)
