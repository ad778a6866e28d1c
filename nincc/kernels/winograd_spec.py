"""How a convolution is cut for Winograd F(m, r): tiles, blocks of them, and where each value lies.  No TVM.

A convolution of stride s is first split in s·s phases: ``y[o] = Σ_b Σ_a x[(o + a)·s + b] · w[a·s + b]`` is a
convolution of stride 1 with ceil(k / s) taps on s·s times the channels.  Phase (by, bx) of channel c becomes
channel ``(by·s + bx)·C + c``, the order in which :mod:`nincc.kernels.gather` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nincc.errors import InternalError
from nincc.kernels.spec import CACHE_LINE, Conv, conv_spec, round_up

SHORTEST = 4
"""Lanes of the shortest vectors worth having."""
AVX512_LANES, AVX512_REGISTERS = 16, 32

ORDERS = ("image", "tile", "unit")


@dataclass(frozen=True)
class Winograd:
    """A convolution by F(m, r).

    ``order`` "tile": a task transforms ``tile_block`` tiles and multiplies them by all units before it goes on;
    "image": the same, but a task gathers a group of images of its own before, so that no block spans two groups;
    "unit": all tiles are transformed first, then tasks share the blocks of ``unit_block`` output channels.
    """

    conv: Conv
    m: int
    r: int
    tile_block: int
    unit_block: int
    order: str

    @property
    def n(self) -> int:
        """Inputs of a tile along one axis."""
        return self.m + self.r - 1

    @property
    def elements(self) -> int:
        """Elements of a transformed tile, each a GEMM of its own."""
        return self.n * self.n

    @property
    def phases(self) -> int:
        """Phases along one axis: the convolution's stride."""
        return self.conv.strides[0]

    @property
    def depth(self) -> int:
        """Channels that the GEMMs sum over: those of all phases."""
        return self.phases**2 * self.conv.channels

    @property
    def stride(self) -> int:
        """Floats from one pixel of the gathered map, or tile of a block, to the next."""
        return round_up(self.depth, self.lanes_in)

    @property
    def lanes_in(self) -> int:
        """Channels of a vector of the gathered map and of its tiles: shorter ones for the few channels of an image."""
        lanes = self.conv.lanes
        while lanes // 2 >= max(self.depth, SHORTEST):
            lanes //= 2
        return lanes

    @property
    def in_registers(self) -> bool:
        """Whether products pass from registers into the output transform, a column of elements at a time.

        AVX-512 multiplies by a float that it spreads from memory: a column's weights and sums may take all registers.
        """
        return self.conv.lanes == AVX512_LANES and self.n * (self.depth + 1) <= AVX512_REGISTERS

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles of one image, down and across."""
        height, width = self.conv.out_size
        return -(-height // self.m), -(-width // self.m)

    @property
    def tiles(self) -> int:
        """Tiles of the whole batch."""
        return self.conv.batch * self.grid[0] * self.grid[1]

    @property
    def fetches_tiles(self) -> bool:
        """Whether products ask for the next element's tiles ahead: in order "unit" another core transformed some.

        Only where they are no more than a weight panel's channels: nin-imagenet's conv2, with 49, took longer by it.
        """
        return self.order == "unit" and self.conv.tasks > 1 and self.tile_block <= self.panel

    @property
    def group(self) -> int:
        """Images that are gathered at a time: as many as fill a block of tiles, or the whole batch."""
        if self.order != "image":
            return self.conv.batch
        return min(self.conv.batch, max(1, self.tile_block // (self.grid[0] * self.grid[1])))

    @property
    def groups(self) -> int:
        return -(-self.conv.batch // self.group)

    @property
    def group_blocks(self) -> int:
        """Blocks of tiles of one group."""
        return -(-self.group * self.grid[0] * self.grid[1] // self.tile_block)

    @property
    def tile_blocks(self) -> int:
        """Blocks of tiles of the whole batch."""
        return self.groups * self.group_blocks

    @property
    def uneven(self) -> bool:
        """Whether any block has places without a tile."""
        return self.tile_blocks * self.tile_block > self.tiles

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows and columns of the gathered map of one image: every tile whole."""
        return self.grid[0] * self.m + self.r - 1, self.grid[1] * self.m + self.r - 1

    @property
    def panel(self) -> int:
        """Output channels of a weight panel."""
        return 2 * self.conv.lanes

    @property
    def panels(self) -> int:
        return -(-self.conv.units // self.panel)

    @property
    def block_panels(self) -> int:
        """Panels of a whole block of output channels; the last block may have fewer."""
        return self.unit_block // self.panel

    @property
    def unit_blocks(self) -> int:
        return -(-self.panels // self.block_panels)

    @property
    def v_step(self) -> int:
        """Floats from one element's tiles to the next's in a block: off a power of two, lest they share cache sets."""
        return self.tile_block * self.stride + CACHE_LINE

    @property
    def m_step(self) -> int:
        """Floats from one element's products to the next element's in a block of products."""
        return self.tile_block * self.unit_block + CACHE_LINE

    @property
    def v_size(self) -> int:
        """Floats of a block of transformed tiles: whole cache lines, so that tasks never share one."""
        return round_up(self.elements * self.v_step, CACHE_LINE)

    @property
    def m_size(self) -> int:
        """Floats of a block's products half transformed and of one column's products, in whole cache lines too.

        Of products in registers, those of one vector half transformed.
        """
        if self.in_registers:
            return self.tile_block * self.m * self.n * self.conv.lanes
        return round_up((self.m + 1) * self.n * self.m_step, CACHE_LINE)


def winograd_spec(shape: tuple[int, ...], attrs: Mapping[str, Any]) -> Winograd:
    """The cut of a ``nincc.conv2d_winograd`` on a source of ``shape``."""
    conv = conv_spec(shape, attrs)
    if not is_winograd_shape(conv):
        raise InternalError(
            f"no Winograd kernel for kernel {conv.kernel}, strides {conv.strides}, dilation {conv.dilation}"
        )
    m, r, tile_block, unit_block = (int(attrs[key]) for key in ("m", "r", "tile_block", "unit_block"))
    plan = Winograd(conv, m, r, tile_block, unit_block, str(attrs["order"]))
    if plan.r != phase_taps(conv) or plan.unit_block % plan.panel or plan.order not in ORDERS:
        raise InternalError(f"bad Winograd attributes: {dict(attrs)}")
    return plan


def is_winograd_shape(conv: Conv) -> bool:
    """Whether the kernel is square, of equal strides, undilated, and more than one tap a phase."""
    square = conv.kernel[0] == conv.kernel[1] and conv.strides[0] == conv.strides[1]
    return square and conv.dilation == (1, 1) and phase_taps(conv) > 1


def phase_taps(conv: Conv) -> int:
    """Taps r of one phase along one axis."""
    return -(-conv.kernel[0] // conv.strides[0])
