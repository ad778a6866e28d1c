"""Strides against bank conflicts, and how threads share items."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nincc.kernels.cuda.banks import collisions, pixel_stride, row_padding, staged_quads, sum_strides, written_by_pixel
from nincc.kernels.cuda.sharing import rounds_by_column, sharing_rounds, sum_parts


def test_collisions() -> None:
    assert collisions(range(64)) == 0
    assert collisions([0] * 8) == 0  # one quad for all: it is broadcast
    assert collisions([0, 8]) == 1
    assert collisions([8 * i for i in range(8)]) == 7
    assert collisions([0, 1, 2, 3, 4, 5, 6, 7, 0]) == 0  # the ninth thread is of the next quarter warp


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5, 6, 7, 8, 16])
@pytest.mark.parametrize("channels", [32, 48, 96, 160, 192, 256, 384])
def test_pixels_read_side_by_side_are_in_different_banks(lanes: int, channels: int) -> None:
    quads = channels // 4
    stride = pixel_stride(quads, lanes, 8, 1, 0, 0)
    assert quads <= stride < quads + 8
    assert collisions([t % lanes * stride for t in range(64)]) == 0


@pytest.mark.parametrize("lanes", [(3, 1), (5, 1), (7, 1), (2, 2), (2, 4)])
@pytest.mark.parametrize(("row", "pixel"), [(108, 6), (96, 12), (65, 5), (64, 8), (70, 7)])
def test_rows_read_side_by_side_are_in_different_banks(lanes: tuple[int, int], row: int, pixel: int) -> None:
    """Also where a row is a multiple of the banks: other pixels, though the banks are the same."""
    wide = pixel if pixel % 2 or lanes[1] == 1 else pixel + 1
    padded = row + row_padding(row, wide, lanes, 1)
    assert collisions(i * padded + j * wide for i in range(lanes[0]) for j in range(lanes[1])) == 0


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize("groups", [12, 20, 24, 40, 48])
def test_sums_are_written_without_conflicts(lanes: int, groups: int) -> None:
    row, share = sum_strides(groups, lanes, groups, 8 * lanes, 4)
    side = lanes * groups
    assert share >= 8 * lanes * row
    assert collisions([t // side * share + t % lanes * row + t // lanes % groups for t in range(64)]) == 0
    assert groups % 8 or collisions(written_by_pixel(groups, row)) == 0


@pytest.mark.parametrize(("groups", "shares"), [(125, 3), (75, 4), (25, 8), (250, 2), (66, 5)])
def test_sums_of_an_odd_number_of_channels_are_written_without_conflicts(groups: int, shares: int) -> None:
    """The shares of 1,000 channels in two slices meet within a quarter warp, far behind the first 64 threads."""
    row, share = sum_strides(groups, 1, groups, 6, shares)
    assert collisions([t // groups * share + t % groups for t in range(groups * shares)]) == 0
    assert share >= 6 * row


@given(st.integers(1, 64), st.integers(0, 7))
def test_staging_has_no_conflicts(quads: int, padding: int) -> None:
    threads = staged_quads(quads, quads + padding)
    assert threads >= quads
    if threads == quads:
        assert collisions(written_by_pixel(quads, quads + padding)) == 0
    else:
        assert threads % 8 == 0


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 512))
def test_sharing_covers_all_items(rows: int, columns: int, threads: int) -> None:
    rounds = sharing_rounds(rows, columns, threads)
    assert rounds * threads >= rows * columns
    assert rounds <= rounds_by_column(rows, columns, threads)


@given(st.integers(1, 1000), st.integers(1, 100), st.integers(32, 512))
def test_parts_of_a_sum_fit_the_block(rows: int, quads: int, threads: int) -> None:
    parts = sum_parts(rows, quads, threads)
    assert 1 <= parts <= rows and (parts == 1 or parts * quads <= threads)
