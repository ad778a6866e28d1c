"""FuseGemmChain: consecutive 1×1 convolutions share a kernel, and multiply by Strassen's algorithm where that pays.

before
    %0 = nincc.gemm(%x, W1, b1, units=160, activation="relu", layer="cccp1")
    nincc.gemm(%0, W2, b2, units=96, activation="relu", layer="cccp2")
after
    nincc.gemm_chain(%x, W, b, units=[160, 96], activations=["relu", "relu"], strassen=[1, 1], layer="cccp1+cccp2")
where W and b hold both layers' weights, those of Strassen's products among them, and biases

A block of pixels goes through all layers before the next one, so no map lies between them.  A map that has another
reader, or is an output of the net (``--keep-maps``), must be stored and ends the chain.  A GEMM by itself becomes a
chain of one if it multiplies by Strassen's algorithm.  Which share a kernel is the cost rule's choice
(:mod:`nincc.kernels.chain_rule`), how that works is a tuned record's or the rule's, under the options' error budget.
CPUs only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nincc.gpu_target import GpuTarget
from nincc.kernels.chain_rule import Product, Run, plan_runs
from nincc.kernels.chain_weights import pack_chain, pack_chain_bias
from nincc.kernels.ops import call
from nincc.kernels.pack_weights import unpack_gemm
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.choices import RULE, tasks_for, tuned_chain
from nincc.passes.graph import Array, Graph, Node, constant, is_call, shape, value
from nincc.passes.packed import attributes
from nincc.target import Target


@dataclass(frozen=True)
class _Chained(Match):
    """``gemms`` in the order they run, and the kernels that they are cut in."""

    gemms: tuple[Node, ...]
    runs: tuple[_Kernel, ...]


@dataclass(frozen=True)
class _Kernel:
    """A run of GEMMs, and where its cut comes from."""

    run: Run
    reason: str


class FuseGemmChain(PatternPass):
    """``nincc.gemm`` after ``nincc.gemm`` → ``nincc.gemm_chain``."""

    name = "FuseGemmChain"

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """The last of consecutive GEMMs; the rule cuts them here."""
        if isinstance(options.target, GpuTarget) or not is_call(node, "nincc.gemm"):
            return None
        gemms = _consecutive(node, graph)
        kernels = [_tuned(run, options) for run in _runs(gemms, options)]
        chains = [kernel.run for kernel in kernels if kernel.run.chain is not None]
        if not chains:
            return _declined(gemms, graph)
        text = "; ".join(_text(gemms[run.first : run.first + run.count], run) for run in chains)
        return _Chained(node, tuple(gemms[:-1]), text, tuple(gemms), tuple(kernels))

    def emit(self, match: _Chained, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The runs one after another."""
        data = new(match.gemms[0].args[0])
        for kernel in match.runs:
            run = kernel.run
            gemms = match.gemms[run.first : run.first + run.count]
            data = _plain(data, gemms[0]) if run.chain is None else _chain(data, gemms, kernel)
        return data


def _consecutive(last: Node, graph: Graph) -> list[Node]:
    """The GEMMs that end with ``last``, each read by the next one only."""
    gemms = [last]
    while is_call(gemms[0].args[0], "nincc.gemm") and graph.read_once(gemms[0].args[0]):
        gemms.insert(0, gemms[0].args[0])
    return gemms


def _runs(gemms: Sequence[Node], options: CompileOptions) -> list[Run]:
    assert isinstance(options.target, Target)
    products = [_product(attributes(gemm)) for gemm in gemms]
    rows = _rows(gemms[0])
    cycles = sum(rows * p.depth * p.units for p in products) / (2 * options.target.lanes)
    return plan_runs(
        products, rows, options.target, tasks=tasks_for(cycles, options),
        error_budget=options.error_budget, optimize=options.optimize,
    )  # fmt: skip


def _tuned(run: Run, options: CompileOptions) -> _Kernel:
    """The run by its record, or else by the rule."""
    if run.chain is None:
        return _Kernel(run, "")
    chain, found = tuned_chain(run.chain, options)
    if found is None:
        pixels = chain.block * chain.tile_rows
        return _Kernel(run, f"{RULE}{pixels} pixels at a time, {chain.mr} a register tile")
    return _Kernel(replace(run, chain=chain, error=found.error), found.reason)


def _product(attrs: dict[str, Any]) -> Product:
    return Product(int(attrs["channels"]), int(attrs["units"]), str(attrs["activation"]))


def _rows(gemm: Node) -> int:
    batch, height, width, _ = shape(gemm)
    return batch * height * width


def _declined(gemms: Sequence[Node], graph: Graph) -> Declined | None:
    """Why GEMMs that follow each other stay apart; nothing to say of one alone."""
    before = gemms[0].args[0]
    if is_call(before, "nincc.gemm"):
        name = attributes(before)["layer"]
        return Declined(gemms[-1], tuple(gemms[:-1]), f"{name}: its map has a second reader or is an output of the net")
    if len(gemms) > 1:
        return Declined(gemms[-1], tuple(gemms[:-1]), f"{_names(gemms)}: faster one by one")
    return None


def _names(gemms: Sequence[Node]) -> str:
    return "+".join(str(attributes(gemm)["layer"]) for gemm in gemms)


def _text(gemms: Sequence[Node], run: Run) -> str:
    assert run.chain is not None
    layers = zip(gemms, run.chain.layers, strict=True)
    halved = [str(attributes(gemm)["layer"]) for gemm, layer in layers if layer.strassen]
    if len(gemms) == 1:
        return f"{_names(gemms)}: by Strassen's algorithm"
    how = f"{', '.join(halved)} by Strassen's algorithm" if halved else "plainly"
    return f"{_names(gemms)}: one kernel, {run.chain.block * run.chain.tile_rows} pixels at a time, {how}"


def _plain(data: Node, gemm: Node) -> Node:
    return call("nincc.gemm", [data, *gemm.args[1:]], **attributes(gemm))


def _known(node: Node) -> Array:
    """The value of a GEMM's weight or bias, which our passes made a constant."""
    array = value(node)
    assert array is not None
    return array


def _chain(data: Node, gemms: Sequence[Node], kernel: _Kernel) -> Node:
    run = kernel.run
    chain, known = run.chain, [attributes(gemm) for gemm in gemms]
    assert chain is not None
    units = [layer.units for layer in chain.layers]
    weights = [unpack_gemm(_known(gemm.args[1]), count) for gemm, count in zip(gemms, units, strict=True)]
    biases = [_known(gemm.args[2])[:count] for gemm, count in zip(gemms, units, strict=True)]
    parameters = [constant(pack_chain(weights, chain.layers)), constant(pack_chain_bias(biases, chain.layers))]
    return call(
        "nincc.gemm_chain", [data, *parameters], channels=chain.layers[0].depth, units=units,
        activations=[layer.activation for layer in chain.layers],
        strassen=[int(layer.strassen) for layer in chain.layers], lanes=chain.layers[0].lanes, mr=chain.mr,
        block=chain.block, tasks=chain.tasks, layer=_names(gemms), macs=sum(int(attrs["macs"]) for attrs in known),
        layers=[str(attrs["layer"]) for attrs in known], layer_macs=[int(attrs["macs"]) for attrs in known],
        reason=kernel.reason, error=run.error,
    )  # fmt: skip
