"""Tunes in a process of its own: ``python -m tests.tune.tune_here MODEL RECORDS TRIALS WORKER NET``
prints JSON; without NET the net is not timed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from nincc.api import compile_options
from nincc.tune.options import TuneOptions
from nincc.tune.tuner import tune

if __name__ == "__main__":
    model, records, trials, module, *net = sys.argv[1:]
    options = TuneOptions(trials=int(trials), early_stop=1000, worker=module, measure_net=bool(net))
    tuned = tune(Path(model), Path(records), compile_options("sm_75", shipped_schedules=False), options)
    print(json.dumps(asdict(tuned)))
