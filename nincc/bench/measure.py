"""``nincc bench``: ours against the peers, each in its own process, in alternating bursts.

Only one process runs at a time: all others are stopped (see nincc.bench.process).  In every round each program has
one burst; the next round starts with the next program, so that none always runs on the caches and the clock that
the same other one left.  Every few rounds all programs start anew: which pages of memory a process got is luck, and
worth up to an eighth of its time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

from nincc.bench.contestant import Contestant
from nincc.bench.cores import core_to_core
from nincc.bench.peak import Peak, measure_peak
from nincc.bench.peers.base import OURS, PEERS
from nincc.bench.process import PeerFailure, save_arrays
from nincc.bench.result import BenchResult, LayerResult, Machine, ProgramResult
from nincc.bench.subject import Subject, file_for_peers, read_subject
from nincc.errors import ToolError, UsageError
from nincc.progress import OnProgress, silent
from nincc.target import Target, native_target

ROUNDS_A_PROCESS = 4  # after them all programs start anew
BUSY = 0.1  # cores that other programs keep busy; above it, timings are doubtful
_LOOK = 0.5  # seconds of watching what the others do


@dataclass(frozen=True)
class BenchOptions:
    """How to measure.

    ``against`` names the peers; None means every one that is installed.  Each of ``rounds`` rounds gives each program
    a burst of ``seconds``; a process serves :data:`ROUNDS_A_PROCESS` of them.  ``layers`` adds the time of each kernel.
    """

    threads: int = 1
    against: tuple[str, ...] | None = None
    rounds: int = 12
    seconds: float = 0.15
    seed: int = 0
    layers: bool = False


def bench(
    artefact: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    options: BenchOptions = BenchOptions(),
    on_progress: OnProgress = silent,
) -> BenchResult:
    """Times the artefact, with ``model`` also its peers, and gives what was found.

    Raises UsageError for wrong arguments, DeviceError where this machine cannot
    run the artefact, ToolError where a peer that ``options`` names is not installed.
    """
    subject = read_subject(Path(artefact), None if model is None else Path(model), options.threads)
    if options.layers and subject.model is None:
        raise UsageError("the time of each kernel needs the ONNX model", hint="add --model M.onnx")
    machine = _machine()
    peers, absent = _choose(subject, options)
    on_progress("FMA peak", 0, 0)
    peak, host_peak = _peaks(subject.target, options.threads)
    programs, trips = _contest(subject, peers, options, on_progress)
    layers: tuple[LayerResult, ...] = ()
    if options.layers:
        from nincc.bench.layers import profile_layers  # brings in the compiler

        on_progress("each kernel", 0, 0)
        layers = profile_layers(subject, options.threads, options.seed, peak)
    return BenchResult(
        artefact=str(artefact),
        model=subject.manifest["model"]["name"],
        target=subject.manifest["target"]["name"],
        batch=subject.manifest["batch"],
        macs=subject.manifest["macs"],
        threads=options.threads,
        machine=machine,
        peak=peak,
        host_peak=host_peak,
        programs=(*programs, *absent),
        layers=layers,
        core_to_core=(min(trips), max(trips)) if trips else None,
        notes=_notes(subject, machine, host_peak),
    )


def _choose(subject: Subject, options: BenchOptions) -> tuple[list[str], list[ProgramResult]]:
    """The peers to time, and an entry for each one left out because it is not installed."""
    named = options.against is not None
    names = PEERS if options.against is None else options.against
    unknown = sorted(set(names) - set(PEERS))
    if unknown:
        raise UsageError(f"unknown peer '{unknown[0]}'", hint="known peers: " + ", ".join(PEERS))
    if subject.model is None:
        if named and names:
            raise UsageError(
                "peers need the ONNX model, which an artefact does not carry", hint="add --model M.onnx"
            )
        return [], []
    absent = {name: PEERS[name] for name in names if PEERS[name].missing()}
    if named and absent:
        name, peer = next(iter(absent.items()))
        raise ToolError(f"peer '{name}' is not installed ({peer.missing()})", hint=peer.install)
    notes = [ProgramResult(name, "?", note=f"not installed: {peer.install}") for name, peer in absent.items()]
    return [name for name in names if name not in absent], notes


def _contest(
    subject: Subject, peers: Sequence[str], options: BenchOptions, on_progress: OnProgress
) -> tuple[list[ProgramResult], list[float]]:
    """What each program took, and the seconds between two cores meanwhile."""
    with tempfile.TemporaryDirectory(prefix="nincc-bench-") as folder:
        contest = Contest(subject, options, Path(folder), on_progress)
        return contest.run(peers), contest.trips


class Contest:
    """All programs of one measurement, loaded, and the bursts between them."""

    def __init__(self, subject: Subject, options: BenchOptions, folder: Path, tell: OnProgress) -> None:
        self._subject, self._options, self._folder, self._tell = subject, options, folder, tell
        self.trips: list[float] = []  # between two cores, each time that programs start
        self._data = folder / "inputs.npz"
        save_arrays(self._data, subject.generated_inputs(options.seed))

    def run(self, peers: Sequence[str]) -> list[ProgramResult]:
        """Our result, then each peer's in the given order."""
        everyone = {name: Contestant(name, self._folder / name) for name in (OURS, *peers)}
        failed: dict[str, ProgramResult] = {}
        try:
            self._enter(everyone, failed)
            self._rounds([one for name, one in everyone.items() if name not in failed])
            return [failed.get(name) or one.result() for name, one in everyone.items()]
        finally:
            for one in everyone.values():
                one.close()

    def _enter(self, everyone: dict[str, Contestant], failed: dict[str, ProgramResult]) -> None:
        """Starts every program and compares its outputs with ours; a peer that fails is set aside."""
        self._tell(f"load {OURS}", 0, 0)
        self._start(everyone[OURS], self._subject.artefact.resolve())
        reference = everyone[OURS].worker.outputs()
        if len(everyone) == 1:
            return
        model = file_for_peers(self._subject, self._folder)
        for name, peer in everyone.items():
            if name == OURS:
                continue
            self._tell(f"convert and load {name}", 0, 0)
            try:
                self._start(peer, model)
                peer.compare(reference)
            except PeerFailure as failure:
                failed[name] = peer.failure(failure.what)
                peer.close()

    def _start(self, one: Contestant, source: Path) -> None:
        outputs = self._subject.outputs if one.name == OURS else self._subject.model_outputs
        one.start(source, self._options.threads, list(self._subject.inputs), outputs, self._data)

    def _rounds(self, timed: Sequence[Contestant]) -> None:
        for index in range(self._options.rounds):
            self._tell("bursts in turn", index, self._options.rounds)
            if index % ROUNDS_A_PROCESS == 0:
                self._warm(timed, anew=index > 0)
            first = index % len(timed)
            for one in (*timed[first:], *timed[:first]):
                one.burst(self._options.seconds)

    def _warm(self, timed: Sequence[Contestant], anew: bool) -> None:
        """A burst of each that does not count, ``anew`` in a new process; before it, how far apart the cores are."""
        if self._options.threads > 1 and (trip := core_to_core()) is not None:
            self.trips.append(trip)
        for one in timed:
            if anew:
                one.restart()
            one.burst(self._options.seconds, count=False)


def _peaks(target: Target, threads: int) -> tuple[Peak, Peak | None]:
    """The peak with the artefact's vectors, and with the CPU's widest where those are wider."""
    host = native_target()
    return measure_peak(target, threads), measure_peak(host, threads) if host.lanes > target.lanes else None


def _machine() -> Machine:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    return Machine(names[0] if names else os.uname().machine, cores, native_target().name, _busy_cores())


def _busy_cores() -> float:
    """How many cores others keep busy while this process sleeps, time stolen from a virtual machine included.

    The load average would not do: for minutes it remembers what this very program did before.
    """
    before, start = _cpu_seconds(), perf_counter()
    sleep(_LOOK)
    return (_cpu_seconds() - before) / (perf_counter() - start)


def _cpu_seconds() -> float:
    """Seconds that all cores together have worked since the start: all states but idle and waiting for disks."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _notes(subject: Subject, machine: Machine, host_peak: Peak | None) -> tuple[str, ...]:
    notes = []
    if subject.model is None:
        notes.append("only the artefact was timed: add --model M.onnx to time its peers too")
    if machine.busy_cores > BUSY:
        notes.append(f"other programs kept {machine.busy_cores:.1f} cores busy: the timings are doubtful")
    if host_peak is not None:
        target = subject.manifest["target"]["name"]
        notes.append(f"this CPU is {machine.native_target}: its peers may use wider vectors than {target}")
    return tuple(notes)
