"""The inputs a library is judged on: generated from a seed, or the user's own."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nincc.errors import UsageError
from nincc.tensor import TensorSpec
from nincc.verify.compare import is_probability
from nincc.verify.ops.registry import Array

#: Standard normal; uniform in [0, 1] like a scaled image; zeros; raw pixels less their mean, in [-128, 128].
KINDS = ("normal", "uniform", "zeros", "large")
LARGEST_GAIN = 1024.0


@dataclass(frozen=True)
class InputSet:
    """One call's worth of inputs: a float32 array for each graph input, in graph order."""

    kind: str
    arrays: tuple[Array, ...]


def generated_inputs(
    specs: Sequence[TensorSpec], *, seed: int = 0, gain: float = 1.0, kinds: Sequence[str] = KINDS
) -> list[InputSet]:
    """One set a kind; the same seed gives the same numbers.

    ``gain`` multiplies the normal and uniform sets: see :func:`gain_for`.
    """
    sets = []
    for position, kind in enumerate(kinds):
        generator = np.random.default_rng([seed, position])
        arrays = (_draw(kind, spec.shape, generator) for spec in specs)
        factor = gain if kind in ("normal", "uniform") else 1.0
        sets.append(InputSet(kind, tuple((array * factor).astype(np.float32) for array in arrays)))
    return sets


def _draw(kind: str, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    if kind == "normal":
        return generator.standard_normal(shape)
    if kind == "uniform":
        return generator.random(shape)
    if kind == "large":
        return generator.uniform(-128.0, 128.0, shape)
    return np.zeros(shape)


def gain_for(outputs: Sequence[Array]) -> float:
    """How much to amplify an input that gave ``outputs``, so that the logits differ by 1 or more.

    A net that answers nearly the same to everything would hide errors.  NINs are nearly homogeneous in their
    input, so a power of two, at most 1024, does it.
    """
    spread = max(logit_spread(output) for output in outputs)
    if not 0 < spread < 1:
        return 1.0
    return float(min(LARGEST_GAIN, 2.0 ** math.ceil(-math.log2(spread))))


def logit_spread(output: Array) -> float:
    """Standard deviation of the logits; probabilities are turned back into logits first."""
    if not np.isfinite(output).all():
        return math.inf
    values = np.log(np.maximum(output, 1e-30)) if is_probability(output) else output
    return float(values.std())


def read_inputs(path: Path, specs: Sequence[TensorSpec]) -> InputSet:
    """The arrays of a ``.npz`` keyed by the graph's input names.

    Raises UsageError for a file that is none, an array that is missing, extra, of another shape or not
    float32.  Where the graph has one input and the file one array, any name will do.
    """
    stored = _load(path)
    if len(specs) == 1 and len(stored) == 1:
        stored = {specs[0].name: next(iter(stored.values()))}
    names = [spec.name for spec in specs]
    extra = sorted(set(stored) - set(names))
    if extra:
        raise UsageError(f"array '{extra[0]}' is no input", where=str(path), hint="inputs: " + ", ".join(names))
    return InputSet(path.name, tuple(_checked(stored, spec, path) for spec in specs))


def _load(path: Path) -> dict[str, Array]:
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise UsageError("is not an .npz file", where=str(path), hint="write it with numpy.savez")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"is not a sound .npz file: {error}", where=str(path)) from error


def _checked(stored: dict[str, Array], spec: TensorSpec, path: Path) -> Array:
    if spec.name not in stored:
        held = ", ".join(sorted(stored)) or "nothing"
        raise UsageError(f"array '{spec.name}' is missing", where=str(path), hint=f"the file holds: {held}")
    array = stored[spec.name]
    if array.shape != spec.shape:
        raise UsageError(
            f"array '{spec.name}' has shape {array.shape}",
            where=str(path),
            hint=f"the graph wants {spec.shape}",
        )
    if array.dtype != np.float32:
        raise UsageError(f"array '{spec.name}' is {array.dtype}", where=str(path), hint="store it as float32")
    return array
