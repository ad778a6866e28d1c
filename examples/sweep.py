"""Compiles random networks-in-network, holds each against float64 and races each against ONNX Runtime.

    make sweep

Nets come from seeds 0 to 199: channels 1 to 200, kernels 1 to 11, strides, both pools, odd sizes, batch 1 to 9 (see
nincc/bench/random_nets.py).  Ends with exit code 1 if one is wrong by more than 1e-5, or takes more than 1.1 times as
long as ONNX Runtime where that takes over a millisecond.  An interrupted sweep goes on where it stopped; a change of
nincc's sources starts it anew.  Compiles for the CPU that it runs on, as ONNX Runtime picks its code by the CPU.
Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import nincc
from nincc.bench.sweep import NetResult, SweepOptions, summary, sweep

RESULTS = Path(__file__).resolve().parent.parent / "build" / "sweep.jsonl"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="random nets: right and fast?")
    parser.add_argument("--nets", type=int, default=200, metavar="N", help="how many (default 200)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed (default 0)")
    parser.add_argument("--target", default="native", metavar="T", help="what to compile for (default native)")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="JSON Lines, a line a net")
    parser.add_argument("--small", action="store_true", help="small nets, as in the tests")
    parser.add_argument("--no-race", action="store_true", help="only right or wrong")
    given = parser.parse_args(arguments)

    def compile_net(model: Path, out: Path) -> None:
        nincc.compile(model, given.target, out=out, verify=False)

    seeds = range(given.first, given.first + given.nets)
    results = given.results.with_stem(f"{given.results.stem}-{Path(given.target).stem}")
    options = SweepOptions(small=given.small, timed=not given.no_race)
    found = summary(sweep(seeds, compile_net, results, options, show))
    print(json.dumps(found, indent=1))
    return 1 if found["wrong"] or found["slow"] else 0


def show(result: NetResult) -> None:
    """One line a net on stderr."""
    if result.failure:
        text = f"FAILED: {result.failure}"
    else:
        text = f"error {result.error:.1e}"
        if result.ours is not None and result.onnxruntime is not None:
            times = f"{result.ours * 1e3:.3f} ms, onnxruntime {result.onnxruntime * 1e3:.3f} ms"
            text += f"  {times}  {result.ours / result.onnxruntime:.2f}"
    verdict = "ok" if result.right and result.fast else "WRONG" if not result.right else "SLOW"
    print(f"{result.seed:5d}  {result.macs / 1e6:8.2f} MMACs  {verdict:5s}  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
