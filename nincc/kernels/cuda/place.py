"""Which pixels and channels a block and a thread have."""

from __future__ import annotations

from dataclasses import dataclass

from nincc.kernels.cuda.emit import ThreadEmitter, over, rest
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.stage import QUAD, Stage
from nincc.kernels.emit import Expr


@dataclass(frozen=True)
class Tile:
    """A block's part of the output: an image, the pixel of its corner, a slice of channels, shares of the reduction."""

    image: Expr
    top: Expr
    left: Expr
    slice: Expr
    row_share: Expr
    channel_share: Expr


def tile_of_block(em: ThreadEmitter, plan: Plan) -> Tile:
    """The tile of this block."""
    down, across = plan.tiles
    number, part, share = em.block
    image = em.scalar(over(number, down * across), "image")
    top = em.scalar(rest(over(number, across), down) * plan.tile[0], "top")
    left = em.scalar(rest(number, across) * plan.tile[1], "left")
    rows = plan.splits[0]
    return Tile(image, top, left, part, rest(share, rows), over(share, rows))


@dataclass(frozen=True)
class Lane:
    """A thread's part of a layer: its pixel lane, its first channel, its share of the reduction."""

    pixel: Expr
    channel: Expr
    share: Expr


def lane_of_thread(em: ThreadEmitter, plan: Plan, stage: Stage) -> Lane:
    """Pixels vary fastest, then channels: a warp's threads share weights, and quads of it read different pixels."""
    pixels, groups = plan.pixel_lanes(stage), plan.groups(stage)
    pixel = em.scalar(rest(em.thread, pixels), "pixel")
    group = em.scalar(rest(over(em.thread, pixels), groups), "group")
    share = em.scalar(over(em.thread, pixels * groups), "share") if stage.shares > 1 else 0
    return Lane(pixel, group * QUAD, share)


def pixel_in_tile(plan: Plan, number: Expr) -> tuple[Expr, Expr]:
    """Row and column in the tile of pixel ``number``.

    Pixels are numbered lane by lane: number j * lanes + lane is the lane's j-th, which lies ``lanes`` apart
    from the next along each axis.
    """
    (rows, cols), (down, across) = plan.tile, plan.lanes
    if rows == 1:
        return 0, number
    lane, j = rest(number, down * across), over(number, down * across)
    beside = cols // across
    return over(lane, across) + over(j, beside) * down, rest(lane, across) + rest(j, beside) * across
