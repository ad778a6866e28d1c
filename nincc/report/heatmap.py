"""Class maps as pictures: where in the image the net sees each class.

Global average pooling makes a class's score the mean of its map, so the map is the score's evidence, place by
place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nincc.errors import UsageError

Array = np.ndarray[Any, Any]

#: From low to high: near black, violet, red, orange, pale yellow (R, G, B).
COLOURS = np.array([(8, 8, 24), (84, 24, 110), (190, 48, 72), (246, 140, 32), (252, 250, 190)], np.float64)
LEAST_SIDE = 128


def class_maps_of(manifest: Mapping[str, Any], outputs: Mapping[str, Array]) -> Array:
    """The class maps [N, classes, H, W] among an artefact's outputs; UsageError where it keeps none."""
    if not manifest["options"]["keep_maps"]:
        raise UsageError("--maps: the artefact keeps no class maps", hint="compile it with --keep-maps")
    return outputs[manifest["outputs"][-1]["name"]]


def write_maps(folder: Path, maps: Array, size: tuple[int, int]) -> list[Path]:
    """One PNG a class and image, ``image0_class3.png``, of at least ``size`` (height, width); their paths.

    All maps of an image share one scale, so that their colours compare: the darkest is the lowest value of any
    class, the brightest the highest.
    """
    digits = len(str(maps.shape[1] - 1))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            _write(folder / f"image{image}_class{index:0{digits}d}.png", plane, size)
            for image, planes in enumerate(maps)
            for index, plane in enumerate(_scaled(planes))
        ]
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror}", where=str(folder), hint="choose another --maps") from error


def _scaled(planes: Array) -> Array:
    """To 0..1 over all classes of an image; all 0 where they are all the same."""
    low, high = float(planes.min()), float(planes.max())
    return (planes - low) / (high - low) if high > low else np.zeros_like(planes)


def _write(path: Path, plane: Array, size: tuple[int, int]) -> Path:
    factor = max(1, -(-LEAST_SIDE // min(size)))
    picture = Image.fromarray(coloured(plane))
    picture.resize((size[1] * factor, size[0] * factor), Image.Resampling.BICUBIC).save(path, "PNG")
    return path


def coloured(plane: Array) -> Array:
    """Values in 0..1, [H, W], as uint8 [H, W, 3]."""
    steps = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(plane, steps, COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
