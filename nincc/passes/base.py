"""What every pass keeps to, stated once, and the runner that holds them to it.

The contract: typed, valid Relay in; typed, valid Relay out, with the same parameters and the same
results.  A pass changes how the net is computed, never what.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from nincc._tvm import tvm
from nincc.errors import InternalError
from nincc.options import CompileOptions
from nincc.passes.graph import Graph, Node, rebuild
from nincc.passes.record import PassRecord

relay = tvm.relay


class Pass(ABC):
    """One step of the pipeline, main function to main function.

    ``name`` is what explain, the manifest and the dumps call it.
    """

    name: ClassVar[str]

    @abstractmethod
    def run(self, function: Any, options: CompileOptions, record: PassRecord) -> Any:
        """The rewritten function; what changed and what was declined goes to ``record``."""

    def __call__(self, module: Any, options: CompileOptions) -> tuple[Any, PassRecord]:
        """Run the pass on a typed module and check the contract."""
        record = PassRecord(self.name)
        before = module["main"]
        rewritten = self.run(before, options, record)
        after = relay.transform.InferType()(tvm.IRModule.from_expr(rewritten))
        self._check(before, after["main"])
        return after, record

    def _check(self, before: Any, after: Any) -> None:
        if _signature(before) != _signature(after):
            raise InternalError(f"{self.name} changed the parameters")
        if not tvm.ir.structural_equal(before.ret_type, after.ret_type):
            raise InternalError(f"{self.name} changed the results from {before.ret_type} to {after.ret_type}")


def _signature(function: Any) -> list[tuple[str, str]]:
    return [(param.name_hint, str(param.checked_type)) for param in function.params]


@dataclass(frozen=True)
class Match:
    """A place where a pass applies: the node it replaces, and those that vanish with it.

    ``inner`` are the nodes that only the replaced one needs; ``text`` tells explain what happens.
    Passes derive from it to keep what their rewrite needs.
    """

    root: Node
    inner: tuple[Node, ...]
    text: str


@dataclass(frozen=True)
class Declined:
    """A place that looks like the pass's, and why the pass leaves it alone.

    ``inner`` are nodes below ``root`` that need no telling of their own.
    """

    root: Node
    inner: tuple[Node, ...]
    reason: str


class PatternPass(Pass):
    """A pass that finds places by a pattern and rewrites each by itself.

    The pattern (``match``) reads the graph only.  The rewrite (``emit``) builds the new node from
    the match and ``new``, which gives the rebuilt form of an old node.  A pass whose rewrites make
    place for further ones sets ``repeat``.
    """

    repeat: ClassVar[bool] = False

    @abstractmethod
    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """What to do at ``node``: rewrite, decline with a reason, or nothing of this pass's concern."""

    @abstractmethod
    def emit(self, match: Any, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The node that takes the match's place."""

    def run(self, function: Any, options: CompileOptions, record: PassRecord) -> Any:
        """Rewrite every match, and again while there are new ones if the pass repeats."""
        while True:
            graph = Graph(function)
            matches = self._find(graph, options, record)
            if not matches:
                return function
            function = self._rewrite(graph, matches, options)
            if not self.repeat:
                return function
            function = relay.transform.InferType()(tvm.IRModule.from_expr(function))["main"]

    def _rewrite(self, graph: Graph, matches: dict[Node, Match], options: CompileOptions) -> Any:
        def replace(node: Node, new: Callable[[Node], Node]) -> Node | None:
            return self.emit(matches[node], new, options) if node in matches else None

        return rebuild(graph, replace)

    def _find(self, graph: Graph, options: CompileOptions, record: PassRecord) -> dict[Node, Match]:
        """Matches by root, the outermost first.  A node inside one match is no root of another."""
        matches: dict[Node, Match] = {}
        declined: list[str] = []
        taken: set[Node] = set()
        for node in reversed(graph.nodes):
            found = None if node in taken else self.match(node, graph, options)
            if found is None:
                continue
            taken.update(found.inner)
            if isinstance(found, Match):
                matches[node] = found
            else:
                declined.append(found.reason)
        record.changed += [match.text for match in reversed(matches.values())]
        record.declined[:] = reversed(declined)
        return matches
