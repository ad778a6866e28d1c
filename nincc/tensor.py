"""The name and shape of a graph input or output.  No TVM in here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output: its ONNX name and its static float32 shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        count = 1
        for extent in self.shape:
            count *= extent
        return count
