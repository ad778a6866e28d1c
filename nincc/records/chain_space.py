"""The kernels of a chain of 1×1 convolutions: ``strassen`` (a digit a layer, 1: by Strassen's algorithm), ``mr`` (rows
of a register tile) and ``block``, the tiles of pixels that go through all layers before the next ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from nincc.kernels.chain_spec import Chain, ChainLayer, takes_strassen
from nincc.kernels.error_table import direct_error, strassen_error
from nincc.kernels.spec import balanced
from nincc.records.space import ROW_BLOCKS, Knob, Knobs, Space, nearest

MOST_WAYS = 16
"""Combinations of layers by Strassen's algorithm that are in a space; of a longer chain, all layers or none."""


@dataclass(frozen=True)
class ChainSpace(Space):
    """``gemm_chain``."""

    @cached_property
    def layers(self) -> list[tuple[int, int]]:
        """Depth and units of each layer."""
        _, depth, units = self.task.workload.args
        return list(zip((depth, *units[:-1]), units, strict=True))

    @cached_property
    def candidates(self) -> dict[str, list[Knob]]:
        """See the module."""
        tiles = {self.chain({"strassen": way, "mr": mr, "block": 1}).tiles for way in self._ways for mr in self._mr}
        blocks = sorted(tiles | {count for count in ROW_BLOCKS if count < max(tiles)})
        return {"strassen": self._ways, "mr": self._mr, "block": list(blocks)}

    @cached_property
    def _ways(self) -> list[Knob]:
        each = ["01" if takes_strassen(*layer, self.task.lanes) else "0" for layer in self.layers]
        ways = ["".join(way) for way in product(*each)]
        return list(ways) if len(ways) <= MOST_WAYS else [ways[0], ways[-1]]

    def chain(self, knobs: Mapping[str, Any]) -> Chain:
        """The kernel's cut, each layer with a ReLU."""
        flags, mr = zip(self.layers, str(knobs["strassen"]), strict=True), int(knobs["mr"])
        layers = tuple(ChainLayer(*layer, "relu", flag == "1", self.task.lanes, mr) for layer, flag in flags)
        return Chain(layers, self.task.workload.args[0], mr, int(knobs["block"]), self.task.threads)

    def allows(self, knobs: Mapping[str, Any]) -> bool:
        """No block is larger than all tiles."""
        if set(knobs) != set(self.candidates) or knobs["strassen"] not in self._ways:
            return False
        if not 1 <= knobs["mr"] <= self.task.rows or knobs["block"] not in self.candidates["block"]:
            return False
        tiles, _, rows = self.chain(knobs).cut
        return bool(rows == knobs["mr"] and knobs["block"] <= tiles)

    def error(self, knobs: Mapping[str, Any]) -> float:
        """The largest of the layers'."""
        layers = self.chain({**knobs, "mr": 1, "block": 1}).layers
        return max((strassen_error if layer.strassen else direct_error)(layer.depth) for layer in layers)

    def plain(self, knobs: Mapping[str, Any]) -> bool:
        """No layer by Strassen's algorithm."""
        return "1" not in str(knobs["strassen"])

    def algorithm(self, knobs: Mapping[str, Any]) -> str:
        """``chain``, or ``Strassen``."""
        return "chain" if self.plain(knobs) else "Strassen"

    def imbalance(self, knobs: Mapping[str, Any], threads: int) -> float:
        """Threads share tiles."""
        tiles = self.chain(knobs).tiles
        return -(-tiles // threads) * threads / tiles

    def canonical(self, knobs: Mapping[str, Any]) -> Knobs:
        """``mr`` is no larger than the rows it cuts, the block one of the candidates."""
        mr = min(int(knobs["mr"]), self.task.rows)
        chain = self.chain({"strassen": knobs["strassen"], "mr": mr, "block": 1})
        tiles, _, mr = balanced(-(-chain.rows // chain.parts), mr)
        block = nearest(min(int(knobs["block"]), tiles), self.candidates["block"], tiles)
        return {"strassen": knobs["strassen"], "mr": mr, "block": block}
