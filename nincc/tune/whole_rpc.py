"""The whole net before and after on a board behind TVM's RPC tracker: both libraries in one session, in turn."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.codegen.link import relink
from nincc.codegen.toolchain import compile_c
from nincc.errors import DeviceError
from nincc.frontend.model import Model
from nincc.options import CompileOptions
from nincc.target import Target
from nincc.tune.build_net import build_net, plain
from nincc.tune.options import NetTime, TuneOptions
from nincc.tune.run_rpc import Lost, connect, first_line
from nincc.tune.timing import robust, runs_for

ROUNDS, SECONDS = 10, 0.3
"""Bursts of each library, and the length of one."""
MOST_TENSORS = 6
SESSION_SECONDS = 300.0
_ENTRY = "nincc_net_packed"
_SOURCE = Path(__file__).with_name("net.c")

Array = np.ndarray[Any, Any]


def measure_net_remotely(model: Model, options: CompileOptions, tuning: TuneOptions, records: Path) -> NetTime:
    """One inference on one thread of whichever board is free, by the rule and by ``records``.

    DeviceError where there is no board, the session breaks, or the net has too many tensors to be passed.
    """
    if len(model.inputs) + len(model.outputs) > MOST_TENSORS:
        raise DeviceError(f"a net of more than {MOST_TENSORS} inputs and outputs is not timed on a board")
    with tempfile.TemporaryDirectory(prefix="nincc-net-") as name:
        libraries = [
            net_library(model, plain(options, file), Path(name) / label)
            for label, file in (("before", None), ("after", records))
        ]
        try:
            session = connect(tuning.tracker).request(tuning.key, session_timeout=SESSION_SECONDS, max_retry=1)
            before, after = _bursts(_Board(session, model), libraries)
        except Exception as error:
            raise Lost(f"the session with the board broke: {first_line(error)}") from error
    return NetTime(before, after)


def net_library(model: Model, options: CompileOptions, folder: Path) -> Path:
    """The net and what times it as one shared library."""
    assert isinstance(options.target, Target)
    built = build_net(model, options, folder)
    for source in (_SOURCE, _SOURCE.with_name("packed.h")):
        (folder / source.name).write_text(source.read_text())
    (folder / "timer.c").write_text(f'#define NET {options.name}\n#include "net.c"\n')
    compile_c("timer.c", "timer.o", options.target, options.libc, folder)
    archive = built.folder / f"lib{options.name}.a"
    return relink(archive, ["timer.o"], options.target, options.libc, f"{folder.name}.so", folder)


class _Board:
    """A session, with a net's inputs and outputs on its side."""

    def __init__(self, session: Any, model: Model) -> None:
        self._session, self._device = session, session.cpu(0)
        rng = np.random.default_rng(0)
        inputs = [rng.standard_normal(spec.shape, dtype=np.float32) for spec in model.inputs]
        outputs = [np.zeros(spec.shape, np.float32) for spec in model.outputs]
        self._tensors = [tvm.nd.array(array, self._device) for array in (*inputs, *outputs)]

    def load(self, library: Path) -> Any:
        """The library's timer; the board keeps the file until the session ends."""
        self._session.upload(str(library))
        return self._session.load_module(library.name).get_function(_ENTRY)

    def seconds(self, timer: Any, runs: int) -> Array:
        times = tvm.nd.array(np.zeros(runs), self._device)
        status = timer(times, *self._tensors)
        if status != 0:
            raise RuntimeError(f"the net returned status {status}")
        return np.asarray(times.numpy())


def _bursts(board: _Board, libraries: list[Path]) -> list[float]:
    timers = [board.load(library) for library in libraries]
    runs = [runs_for(float(board.seconds(timer, 2)[-1]), SECONDS) for timer in timers]
    seconds: list[list[float]] = [[] for _ in timers]
    for number in range(ROUNDS):
        order = range(len(timers)) if number % 2 else reversed(range(len(timers)))
        for index in order:
            seconds[index] += board.seconds(timers[index], runs[index]).tolist()
    return [robust(np.array(times)) for times in seconds]
