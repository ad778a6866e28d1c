"""Measures the tables and the plot of docs/performance.md, and writes them there.

    make bench

Compiles each published net for one thread and for two, times it against every peer that is installed (pip install
'nincc[bench]'), and replaces what stands between the target's marks in the document; tables of other targets stay.
Takes a quarter of an hour; run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import onnx

import nincc
from nincc import zoo
from nincc.bench.measure import BenchOptions, bench
from nincc.bench.plot import plot_bench
from nincc.bench.result import BenchResult
from nincc.bench.table import costs_table, machine_lines, markdown, replace_part, times_table
from nincc.errors import UsageError
from nincc.target import load_target, native_target

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "performance.md"
WORK = ROOT / "build" / "performance"
NETS = [
    *(("nin-cifar10", 1), ("nin-cifar10", 8), ("nin-imagenet", 1), ("nin-imagenet", 8)),
    *((name, 1) for name in ("nin-cifar100", "nin-mnist", "nin-svhn", "nin-d2l")),
]
THREADS = (1, 2)
PARTS = ("machine", "times", "scaling", "costs", "compiling")
PLOTTED = ("nin-cifar10", 1, 1)


@dataclass(frozen=True)
class Compiled:
    """A net on disk, and what compiling it took."""

    name: str
    batch: int
    threads: int
    model: Path
    artefact: Path
    seconds: float
    sizes: tuple[int, int]  # bytes of workspace and weights


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="measure docs/performance.md")
    parser.add_argument("--target", default="native", metavar="T", help="what to compile for (default native)")
    parser.add_argument("--nets", default=None, metavar="NAMES", help="only these, separated by commas")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="bursts of each program (default 20)")
    parser.add_argument("--print", action="store_true", dest="only_print", help="leave the document alone")
    given = parser.parse_args(arguments)
    try:
        target = load_target(given.target).name
        if not given.only_print:
            check_place(target)  # told now, not after a quarter of an hour
    except UsageError as error:
        parser.error(str(error))
    wanted = given.nets.split(",") if given.nets else None
    chosen = [net for net in NETS if wanted is None or net[0] in wanted]
    nets = [compiled(*net, threads, given.target) for net in chosen for threads in THREADS]
    results = [measured(net, given.rounds) for net in nets]
    (WORK / "results.json").write_text(json.dumps([result.to_dict() for result in results], indent=1))
    tables = [f(results) for f in (machine_lines, times_table, scaling_table, costs_table)]
    parts = dict(zip(PARTS, [*tables, compiling_table(nets)], strict=True))
    if given.only_print:
        print("\n\n".join(parts.values()))
    else:
        DOCUMENT.write_text(written(DOCUMENT.read_text(), parts, target))
        plot(results)
    return 0


def compiled(name: str, batch: int, threads: int, target: str) -> Compiled:
    """The net compiled and verified, for the threads that it will be timed with."""
    WORK.mkdir(parents=True, exist_ok=True)
    model, out = WORK / f"{name}-{batch}.onnx", WORK / f"{name}-{batch}-{threads}"
    onnx.save(zoo.build(name, batch), model)
    start = time.perf_counter()
    manifest = nincc.compile(model, target, out=out, threads=threads).manifest
    seconds = time.perf_counter() - start
    what = f"{name}, batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
    print(f"{what}: compiled and verified in {seconds:.1f} s", file=sys.stderr, flush=True)
    sizes = (manifest["workspace_bytes"], manifest["weight_bytes"])
    return Compiled(name, batch, threads, model, out, seconds, sizes)


def measured(net: Compiled, rounds: int) -> BenchResult:
    """The net against its peers; the net that is plotted with its kernels."""
    layers = (net.name, net.batch, net.threads) == PLOTTED
    result = bench(net.artefact, net.model, BenchOptions(threads=net.threads, rounds=rounds, layers=layers))
    print(times_table([result]).splitlines()[-1], file=sys.stderr, flush=True)
    return result


def scaling_table(results: list[BenchResult]) -> str:
    """How much faster two threads are than one."""
    medians = {(r.model, r.batch, r.threads): r.ours.timing.median for r in results if r.ours.timing}
    rows = [
        [model, str(batch), f"{medians[model, batch, 1] / medians[model, batch, 2]:.2f}"]
        for model, batch, threads in medians
        if threads == 1
    ]
    return markdown(["net", "batch", "one thread ÷ two"], rows, left=1)


def compiling_table(nets: list[Compiled]) -> str:
    header = ["net", "batch", "threads", "compile and verify s", "workspace MB", "weights MB"]
    rows = [
        [net.name, *map(str, (net.batch, net.threads)), f"{net.seconds:.1f}", *(f"{n / 1e6:.2f}" for n in net.sizes)]
        for net in nets
    ]
    return markdown(header, rows, left=1)


def check_place(target: str) -> None:
    """UsageError where the document cannot take the target's tables."""
    native = native_target().name
    if target != native:
        hint = "leave --target out, or add --print"
        raise UsageError(f"the tables are of each CPU's own target, here {native}", hint=hint)
    written(DOCUMENT.read_text(), dict.fromkeys(PARTS, ""), target)


def written(document: str, parts: dict[str, str], target: str) -> str:
    """The document with the target's tables in their places; UsageError where it has none."""
    for part, content in parts.items():
        document = replace_part(document, f"{part} {target}", content)
    return document


def plot(results: list[BenchResult]) -> None:
    for result in results:
        if (result.model, result.batch, result.threads) == PLOTTED:
            plot_bench(result, DOCUMENT.with_name("performance.png"))


if __name__ == "__main__":
    sys.exit(main())
