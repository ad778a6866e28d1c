"""The plans worth costing for a run of layers in one launch.  No TVM."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from nincc.gpu_target import WARP, GpuTarget
from nincc.kernels.cuda.banks import BANKS
from nincc.kernels.cuda.cost import least_clocks
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.shared import reading_clocks
from nincc.kernels.cuda.stage import QUAD, Stage
from nincc.kernels.spec import Conv, Pair, round_up

MOST_PIXELS = 128
LEAST_THREADS, MOST_THREADS = 64, 512
ROW_TILES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128)
LARGEST_TILE = 64
"""Sums that a thread keeps in registers."""
MOST_BLOCKS = 8
"""Work is split further, beyond tiles of pixels, up to so many blocks an SM."""
FEW_CHANNELS = 4
"""Up to here the im2col matrix is staged: a tap's channels would not fill a quad."""
SHARES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)


@dataclass(frozen=True)
class Layer:
    """A layer as the rule sees it: outputs and activation."""

    units: int
    activation: str


@dataclass(frozen=True)
class Segment:
    """A run of layers for one launch: ``conv`` is the first, the others are 1×1.

    ``flat``, ``partials``, ``source_activation`` and ``epilogue`` as in :class:`Plan`; ``may_split``: whether the
    reader takes partial sums.
    """

    conv: Conv
    flat: str
    partials: int
    source_activation: str
    layers: tuple[Layer, ...]
    epilogue: str
    may_split: bool


@dataclass(frozen=True)
class Draft:
    """A plan but for its chunk and its further layers; it takes at least ``bound`` clocks."""

    bound: float
    tile: Pair
    lanes: Pair
    threads: int
    slices: int
    splits: Pair
    gather: str
    stage: Stage

    @property
    def split(self) -> int:
        return self.splits[0] * self.splits[1]


def drafts(segment: Segment, target: GpuTarget) -> list[Draft]:
    """Every sensible draft for ``segment``, the most promising first."""
    rows, cols = segment.conv.out_size
    tiles = tile_shapes(rows, cols, whole=segment.epilogue in ("mean", "softmax"))
    found = [draft for tile in tiles for draft in _tile_drafts(segment, tile, target)]
    return sorted(found, key=lambda draft: draft.bound)


def finished(draft: Draft, segment: Segment, target: GpuTarget) -> Plan | None:
    """The draft with its other layers, and with the largest chunk that fits; None where nothing does."""
    rest = [inner_stage(layer, depth, math.prod(draft.tile), draft.threads) for layer, depth in _inner(segment)]
    stages = (draft.stage, *(stage for stage in rest if stage is not None))
    if None in rest:
        return None
    for chunk in chunks(draft.stage.depth // draft.splits[1], QUAD * draft.stage.shares):
        plan = Plan(
            segment.conv, draft.gather, segment.flat, segment.partials, segment.source_activation, draft.tile,
            draft.lanes, draft.threads, chunk, draft.slices, draft.splits, stages, segment.epilogue,
        )  # fmt: skip
        if chunk_fits(plan, target.shared_per_block):
            return plan
    return None


def chunk_fits(plan: Plan, shared: int) -> bool:
    """Whether the staged chunk fits ``shared`` bytes, its threads' reach, and is read without bank conflicts."""
    if plan.patch.floats * 4 > shared or plan.chunk > 4 * QUAD * plan.threads:
        return False
    return not reading_clocks(plan, 0).conflicts


def plans(segment: Segment, target: GpuTarget) -> Iterator[Plan]:
    """Every sensible plan for ``segment``, the most promising first."""
    for draft in drafts(segment, target):
        plan = finished(draft, segment, target)
        if plan is not None:
            yield plan


def _inner(segment: Segment) -> list[tuple[Layer, int]]:
    """The layers behind the first, with the channels they read."""
    depths = [round_up(layer.units, QUAD) for layer in segment.layers]
    return list(zip(segment.layers[1:], depths[:-1], strict=True))


@cache
def tile_shapes(rows: int, cols: int, whole: bool) -> tuple[Pair, ...]:
    """Tiles that cut a map of rows × cols with little left over; ``whole``: the map itself."""
    if whole:
        return ((rows, cols),) if rows * cols <= MOST_PIXELS else ()
    if rows == 1:
        sizes = {size for size in ROW_TILES if size <= cols} | ({cols} if cols <= MOST_PIXELS else set())
        return tuple((1, size) for size in sorted(sizes))
    heights, widths = _cuts(rows, 8), _cuts(cols, 32)
    shapes = [(h, w) for h in heights for w in widths if 4 <= h * w <= MOST_PIXELS or (h, w) == (rows, cols)]
    covered = {shape: -(-rows // shape[0]) * shape[0] * -(-cols // shape[1]) * shape[1] for shape in shapes}
    least = min(covered.values())
    return tuple(shape for shape in shapes if covered[shape] <= 1.15 * least)


def _cuts(extent: int, most: int) -> list[int]:
    """Lengths that cut ``extent`` into equal parts, the last perhaps shorter."""
    return sorted({-(-extent // parts) for parts in range(1, extent + 1) if -(-extent // parts) <= most})


def _tile_drafts(segment: Segment, tile: Pair, target: GpuTarget) -> Iterator[Draft]:
    """Drafts on tiles of one shape."""
    pixels, layer = math.prod(tile), segment.layers[0]
    single = len(segment.layers) == 1
    for pixels_each, columns in _register_tiles(pixels):
        if (lanes := pixel_lanes(tile, pixels_each)) is None:
            continue
        for slices in _slices(layer, columns, single and segment.epilogue != "softmax"):
            groups = round_up(layer.units, QUAD) // columns // slices
            for shares in SHARES:
                threads = round_up(pixels // pixels_each * groups * shares, WARP)
                if threads > MOST_THREADS:
                    break
                stage = Stage(layer.units, 0, layer.activation, pixels_each, columns, shares)
                yield from _split_drafts(segment, tile, lanes, max(LEAST_THREADS, threads), slices, stage, target)


def pixel_lanes(tile: Pair, pixels_each: int) -> Pair | None:
    """How a tile's pixels are dealt out to threads of ``pixels_each``; None where they cannot be."""
    across = math.gcd(count := math.prod(tile) // pixels_each, tile[1])
    return None if tile[0] % (count // across) else (count // across, across)


@cache
def _register_tiles(pixels: int) -> list[Pair]:
    """(pixels, columns) of a thread; one of them has 4 columns, which divide any layer's stored channels."""
    least = LARGEST_TILE // 2 if pixels >= 8 else LARGEST_TILE // 4
    divisors = [n for n in range(1, 17) if pixels % n == 0]
    tiles = [(n, c) for c in (4, 8) for n in divisors[1:] if least <= n * c <= LARGEST_TILE]
    return tiles if tiles and tiles[0][1] == QUAD else [(divisors[-1], QUAD), *tiles]


def _slices(layer: Layer, columns: int, allowed: bool) -> list[int]:
    """Ways to cut a layer's output channels among blocks; none when other layers follow."""
    groups = round_up(layer.units, QUAD) / columns
    if groups != int(groups):
        return []
    if not allowed:
        return [1]
    return [n for n in range(1, int(groups) + 1) if groups % n == 0 and (n == 1 or groups // n >= 4) and n <= 64]


def _split_drafts(
    segment: Segment, tile: Pair, lanes: Pair, threads: int, slices: int, stage: Stage, target: GpuTarget
) -> Iterator[Draft]:
    """Ways to split the reduction among blocks."""
    conv, step = segment.conv, QUAD * stage.shares
    gather, depth, taps = gathering(conv, step)
    tiles = math.prod(-(-extent // size) for extent, size in zip(conv.out_size, tile, strict=True)) * conv.batch
    inner = sum(depth * round_up(layer.units, QUAD) for layer, depth in _inner(segment))
    work = math.prod(tile) * (round_up(stage.units, QUAD) * depth * taps + inner)
    stage = replace(stage, depth=depth)
    for splits in _splits(segment, gather, depth // step):
        parts = slices * math.prod(splits)
        if parts == 1 or tiles * parts <= MOST_BLOCKS * target.sm_count:
            bound = least_clocks(tiles * parts, work / parts, threads, stage, target)
            yield Draft(bound, tile, lanes, threads, slices, splits, gather, stage)


def gathering(conv: Conv, step: int) -> tuple[str, int, int]:
    """What is staged of the first layer, its depth in whole ``step`` s of channels, and the taps read one by one."""
    taps = math.prod(conv.kernel)
    few = conv.channels <= FEW_CHANNELS and conv.pool is None and taps > 1
    return ("columns" if few else "patch"), round_up(conv.channels * (taps if few else 1), step), 1 if few else taps


def chunks(depth: int, step: int) -> list[int]:
    """Channels to stage at a time, the most first: they divide the block's depth."""
    return [depth // parts for parts in range(1, depth // step + 1) if depth % (parts * step) == 0]


def _splits(segment: Segment, gather: str, steps: int) -> list[Pair]:
    """(kernel rows, channels): how many blocks share a reduction of ``steps`` along the channels."""
    if not segment.may_split or len(segment.layers) > 1:
        return [(1, 1)]
    rows = [1] if gather == "columns" else sorted({1, segment.conv.kernel[0]})
    along = [n for n in (1, 2, 3, 4, 6, 8) if steps % n == 0]
    return [(r, c) for r in rows for c in along if r * c <= 16]


def shares_collide(side: int, quads: int, shares: int) -> bool:
    """Whether a quarter warp has threads of two shares whose activations lie in the same banks."""
    return shares > 1 and side % BANKS != 0 and quads // shares % BANKS == 0


@cache
def inner_stage(layer: Layer, depth: int, pixels: int, threads: int) -> Stage | None:
    """The cut of a 1×1 layer inside a launch that keeps its busiest thread the least busy."""
    quads, width = depth // QUAD, round_up(layer.units, QUAD)
    best: tuple[float, Stage] | None = None
    for each, columns in _register_tiles(pixels):
        if width % columns:
            continue
        side = pixels // each * (width // columns)
        for shares in range(1, threads // side + 1):
            if quads % shares or shares_collide(side, quads, shares):
                continue
            stage = Stage(layer.units, depth, layer.activation, each, columns, shares)
            work = _inner_work(stage, pixels, threads)
            if best is None or work < best[0]:
                best = work, stage
    return best[1] if best else None


def _inner_work(stage: Stage, pixels: int, threads: int) -> float:
    """Instructions of a thread, adding up the shares included."""
    size = stage.pixels * stage.columns
    steps = stage.depth // QUAD // stage.shares
    work = steps * (QUAD * size + stage.pixels + stage.columns + 2) + 2 * size
    if stage.shares > 1:
        beside = max(1, threads // (stage.width // QUAD))
        work += size // QUAD + 30 + -(-pixels // beside) * (5 * stage.shares + 9)
    return work
