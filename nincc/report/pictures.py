"""Pictures as net inputs: bytes / 255, channels R, G, B or one of grey."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from nincc.errors import UsageError
from nincc.tensor import TensorSpec

MODES = {1: "L", 3: "RGB"}


def read_pictures(paths: Sequence[Path], spec: TensorSpec, resize: bool = False) -> np.ndarray[Any, Any]:
    """The pictures as one float32 array of the input's shape [N, C, H, W], values in 0..1.

    A transparent picture is laid on black.  ``resize`` stretches each to H x W (bilinear).  Raises UsageError
    for an input that is no batch of pictures, a wrong number of them, one of another size or no picture.
    """
    batch, channels, height, width = _picture_shape(spec)
    if len(paths) != batch:
        raise UsageError(f"{len(paths)} pictures given, the batch is {batch}", hint="give --input once an image")
    planes = [_read(path, MODES[channels], (width, height), resize) for path in paths]
    return np.stack(planes).reshape(batch, height, width, channels).transpose(0, 3, 1, 2).copy()


def _picture_shape(spec: TensorSpec) -> tuple[int, int, int, int]:
    if len(spec.shape) != 4 or spec.shape[1] not in MODES:
        raise UsageError(f"input '{spec.name}' of shape {list(spec.shape)} takes no pictures", hint="give an .npz file")
    batch, channels, height, width = spec.shape
    return batch, channels, height, width


def _read(path: Path, mode: str, size: tuple[int, int], resize: bool) -> np.ndarray[Any, Any]:
    try:
        with Image.open(path) as picture:
            flat = _on_black(picture).convert(mode)
    except UnidentifiedImageError as error:
        raise UsageError("is neither .npz nor a picture", where=str(path)) from error
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=str(path)) from error
    if flat.size != size:
        if not resize:
            raise UsageError(
                f"is {flat.width} x {flat.height} pixels, the input is {size[0]} x {size[1]}",
                where=str(path),
                hint="add --resize to stretch it",
            )
        flat = flat.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(flat, np.float32) / np.float32(255)


def _on_black(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    seen = picture.convert("RGBA")
    ground = Image.new("RGBA", seen.size, (0, 0, 0, 255))
    return Image.alpha_composite(ground, seen).convert("RGB")
