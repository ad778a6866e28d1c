"""A tuning worker whose GPU is the stand-in driver, with the PTX interpreter behind it and planted faults.

The stub is the ``libcuda.so.1`` of LD_LIBRARY_PATH; the faults are those of :mod:`tests.tune.planted_launches`.
"""

from __future__ import annotations

import os
from pathlib import Path

from nincc.emulate.cuda.gpu import EmulatedGpu
from nincc.emulate.cuda.library import NAME, Stub
from nincc.tune import launch_trial, run_gpu, template, worker
from tests.tune.planted_launches import emit_kernel, mlpconv

if __name__ == "__main__":
    template.mlpconv, launch_trial.emit_kernel = mlpconv, emit_kernel
    run_gpu.LAUNCHES, run_gpu.SAMPLES, run_gpu.LEAST = 2, 2, 0.0  # the stub's time is not real
    gpu = EmulatedGpu(Stub(Path(os.environ["LD_LIBRARY_PATH"]) / NAME), detect_races=True)
    worker.main()
