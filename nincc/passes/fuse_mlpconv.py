"""FuseMlpconv (GPU): a convolution and the 1×1 convolutions behind it share launches.

before
    %0 = nincc.conv2d(%x, panels0, bias0, pool="max 3 3 …", …)
    %1 = nincc.gemm(%0, panels1, bias1, …)
    nincc.gemm(%1, panels2, bias2, …)
after, one launch, whose tiles of pixels go through all layers in shared memory
    nincc.cuda_mlpconv(%x, weights, pool="max 3 3 …", units=[…], tile=[1, 8], shares=[4, 4, 8], …)
or two, where there are too few pixels to keep the card busy: the first leaves partial sums
    %0 = nincc.cuda_mlpconv(%x, weights0, splits=[5, 1], …)
    nincc.cuda_mlpconv(%0, weights1, partials=5, …)

and where the net ends in the mean over the maps, each tile leaves its sums over its pixels
    nincc.gemm_pool(%1, panels2, bias2, …)      →      nincc.cuda_mean(nincc.cuda_mlpconv(…, epilogue="sums"), …)

Which layers share a launch is the cost rule's choice for the target's card, and so is how each launch is cut where no
tuned record says it.  A pool that only the first layer reads is computed while that gathers its input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.gpu_target import GpuTarget
from nincc.kernels.cuda.rule import Choice, Run, pick_launches
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.graph import Graph, Node, is_call
from nincc.passes.launches import emit_launches, run_of
from nincc.passes.packed import attributes
from nincc.passes.tuned_launches import tuned_launches

relay = tvm.relay

LAYERS = ("nincc.gemm", "nincc.gemm_pool", "nincc.conv2d")


@dataclass(frozen=True)
class Chain(Match):
    """Layers, the first first; ``pool`` is the pool before the first that is computed on the way (None: none)."""

    layers: tuple[Node, ...]
    pool: Node | None
    run: Run
    launches: tuple[Choice, ...]


class FuseMlpconv(PatternPass):
    """``nincc.conv2d`` and ``nincc.gemm`` → ``nincc.cuda_mlpconv``."""

    name = "FuseMlpconv"

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """The last layer of a chain; the launches are chosen here."""
        if not is_call(node, *LAYERS):
            return None
        target = options.target
        assert isinstance(target, GpuTarget)
        layers = chain_to(node, graph)
        pool = layers[0].args[0]
        fused = (
            pool
            if is_call(pool, "nincc.pool2d") and is_call(layers[0], "nincc.gemm") and graph.read_once(pool)
            else None
        )
        run = run_of(layers, fused)
        launches = pick_launches(run, target)
        names = "+".join(layer_names(layers))
        inner = tuple(layers[:-1]) + ((fused,) if fused is not None else ())
        if launches is None:
            return Declined(node, inner, f"{names}: no tile of it fits {target.name}'s shared memory")
        launches = tuned_launches(launches, options)
        return Chain(node, inner, _text(names, layers, launches, target, graph), tuple(layers), fused, run, launches)

    def emit(self, match: Chain, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The launches one after another."""
        source = (match.pool if match.pool is not None else match.layers[0]).args[0]
        return emit_launches(match.run, match.launches, match.layers, new(source), options)


def chain_to(node: Node, graph: Graph) -> list[Node]:
    """The layers that end at ``node``: each but the first a GEMM that alone reads the one before."""
    layers = [node]
    while is_call(layers[0], "nincc.gemm", "nincc.gemm_pool"):
        below = layers[0].args[0]
        if not is_call(below, "nincc.gemm", "nincc.conv2d") or not graph.read_once(below):
            break
        layers.insert(0, below)
    return layers


def layer_names(layers: list[Node] | tuple[Node, ...]) -> list[str]:
    """The layers' names in the ONNX graph."""
    return [str(attributes(layer)["layer"]) for layer in layers]


def _text(names: str, layers: list[Node], launches: tuple[Choice, ...], target: GpuTarget, graph: Graph) -> str:
    parts, first = [], 0
    for choice in launches:
        end = first + len(choice.plan.stages)
        parts.append(f"{'+'.join(layer_names(layers[first:end]))}: {describe(choice, target)}")
        first = end
    below = layers[0].args[0]
    alone = ""
    if is_call(below, *LAYERS) and not graph.read_once(below):
        alone = f"; not joined to {attributes(below)['layer']}, whose maps have another reader"
    return "; ".join(parts) + alone


def describe(choice: Choice, target: GpuTarget) -> str:
    """A launch in words, for explain and the manifest."""
    plan = choice.plan
    words = [f"{plan.blocks} blocks of {plan.threads} threads, {plan.tile[0]}×{plan.tile[1]} pixels each"]
    if plan.slices > 1:
        words.append(f"1/{plan.slices} of the channels")
    if plan.split > 1:
        words.append(f"1/{plan.split} of the reduction")
    return f"{', '.join(words)}, about {choice.clocks / target.clock_mhz:.1f} µs on {target.card}"
