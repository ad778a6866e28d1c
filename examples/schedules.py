"""Tunes published nets and puts the best records where a wheel ships them: ``schedules/<target>.jsonl``.

    python examples/schedules.py x86-64-v3                   # timed on this machine; keep it quiet meanwhile
    python examples/schedules.py cortex-a72 sm_80            # estimated, for targets that are not here

An estimated target takes some fifteen minutes of one core.  Interrupted, the same command goes on where it stopped:
all trials stay in ``--work``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx

import nincc
from nincc.records.edit import export
from nincc.resources import schedules_dir
from nincc.target import load_target, missing_features
from nincc.zoo import NETS, build


def main() -> None:
    parser = argparse.ArgumentParser(description="Tune published nets for targets and keep the best records.")
    parser.add_argument("targets", nargs="+", metavar="TARGET")
    parser.add_argument("--nets", nargs="+", default=sorted(NETS, key=lambda net: NETS[net].macs), choices=list(NETS))
    parser.add_argument("--work", type=Path, default=Path("build/schedules"), help="where models and trials are kept")
    parser.add_argument("--out", type=Path, default=schedules_dir())
    parser.add_argument("--trials", type=int, default=400, help="a net, on this machine")
    parser.add_argument("--estimates", type=int, default=60, help="a net, where the target is not here")
    given = parser.parse_args()
    for name in given.targets:
        for net in given.nets:
            _tune(name, net, given)


def _tune(name: str, net: str, given: argparse.Namespace) -> None:
    target = load_target(name)
    model, records = given.work / f"{net}.onnx", given.work / f"{net}.{target.name}.jsonl"
    if not model.exists():
        given.work.mkdir(parents=True, exist_ok=True)
        onnx.save(build(net), model)
    here = not missing_features(target)
    trials, runner = (given.trials, "local") if here else (given.estimates, "static")
    tuned = nincc.tune(model, target, records=records, trials=trials, runner=runner, early_stop=25)
    kept = export([records], given.out / f"{target.name}.jsonl")
    net_time = f", {tuned.net.before * 1e3:.3f} > {tuned.net.after * 1e3:.3f} ms" if tuned.net else ""
    net_time += " estimated" if tuned.net and tuned.net.estimated else ""
    if tuned.net and tuned.net.before_instructions:
        were, are = tuned.net.before_instructions / 1e6, tuned.net.after_instructions / 1e6
        net_time += f", {were:.1f} > {are:.1f} M instructions"
    print(f"{target.name} {net}: {tuned.trials} trials{net_time}; {kept} records shipped", flush=True)


if __name__ == "__main__":
    main()
