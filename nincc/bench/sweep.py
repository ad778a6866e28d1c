"""Random nets, one after the other: is each right, and is each fast?

A net is right when its outputs are within 1e-5 of the float64 evaluation: of the largest output, or of 1 where that
is smaller; on inputs in the hundreds, for which softmax gets logits that are far apart, within what verify allows
probabilities then (:mod:`nincc.verify.compare`).  It is fast when it takes at most 1.1 times what ONNX Runtime takes;
nets that ONNX Runtime runs in less than a millisecond are too short to judge.  Results go to a JSON Lines file, a line
a net, so that a sweep that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from nincc.bench.measure import BenchOptions, bench
from nincc.bench.random_nets import random_net
from nincc.errors import NinccError
from nincc.macs import count_layers, total_macs
from nincc.verify import verify_artefact
from nincc.verify.certificate import TensorError

LARGEST_ERROR = 1e-5
LARGEST_RATIO = 1.1
JUDGED_FROM = 1e-3  # seconds that ONNX Runtime takes
_PACKAGE = Path(__file__).resolve().parent.parent

#: Compiles the ONNX file (first) into the artefact (second), without verifying it.
CompileNet = Callable[[Path, Path], Any]


@dataclass(frozen=True)
class SweepOptions:
    """``timed`` adds the race against ONNX Runtime; ``small`` draws nets for tests."""

    small: bool = False
    timed: bool = True
    rounds: int = 6
    seconds: float = 0.05


@dataclass(frozen=True)
class NetResult:
    """What one net showed.

    ``error`` is as a share of max(1, largest output); ``ours`` and ``onnxruntime`` are median seconds, None where
    they were not timed; ``failure`` is what was raised instead.  ``code`` tells which sources of nincc it was,
    and which kind of sweep.
    """

    seed: int
    code: str
    macs: int
    error: float | None = None
    ours: float | None = None
    onnxruntime: float | None = None
    failure: str | None = None

    @property
    def right(self) -> bool:
        return self.failure is None and self.error is not None and self.error <= LARGEST_ERROR

    @property
    def ratio(self) -> float | None:
        """Our time as a share of ONNX Runtime's; None where that is too short to judge or was not timed."""
        if self.ours is None or self.onnxruntime is None or self.onnxruntime < JUDGED_FROM:
            return None
        return self.ours / self.onnxruntime

    @property
    def fast(self) -> bool:
        return self.ratio is None or self.ratio <= LARGEST_RATIO


def sweep(
    seeds: Iterable[int],
    compile_net: CompileNet,
    results: Path,
    options: SweepOptions = SweepOptions(),
    on_result: Callable[[NetResult], None] = lambda result: None,
) -> list[NetResult]:
    """The results of the nets of ``seeds``, each appended to the file ``results``.

    Those that it has already, of these very sources and of this kind of sweep, are not done again.
    """
    code = "-".join((code_digest(), "small" if options.small else "large", "raced" if options.timed else "proven"))
    known = {result.seed: result for result in read_results(results) if result.code == code}
    done = []
    for seed in seeds:
        result = known.get(seed)
        if result is None:
            result = check_net(seed, code, compile_net, options)
            _append(results, result)
        on_result(result)
        done.append(result)
    return done


def read_results(path: Path) -> list[NetResult]:
    """Every whole line of the file; none where there is no file.  A line cut short by an interrupt is left out."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [NetResult(**json.loads(line)) for line in lines if line.endswith("}")]


def _append(path: Path, result: NetResult) -> None:
    """Adds a line, and ends one that was cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if path.is_file() else ""
    end = "" if before.endswith("\n") or not before else "\n"
    with path.open("a") as file:
        file.write(end + json.dumps(asdict(result)) + "\n")


def check_net(seed: int, code: str, compile_net: CompileNet, options: SweepOptions) -> NetResult:
    """Compiles the net of ``seed``, holds it against float64 and, where it is right, races ONNX Runtime."""
    proto = random_net(seed, options.small)
    macs = total_macs(count_layers(proto))
    with tempfile.TemporaryDirectory(prefix="nincc-sweep-") as folder:
        model, artefact = Path(folder) / "model.onnx", Path(folder) / "net"
        onnx.save(proto, model)
        try:
            compile_net(model, artefact)
            error = net_error(artefact, model)
            times = _race(artefact, model, options) if options.timed and error <= LARGEST_ERROR else {}
        except NinccError as failure:
            return NetResult(seed, code, macs, failure=str(failure))
    return NetResult(seed, code, macs, error, times.get("nincc"), times.get("onnxruntime"))


def net_error(artefact: Path, model: Path) -> float:
    """The largest error over all generated inputs and outputs."""
    certificate = verify_artefact(artefact, model)
    return max(map(_share, certificate.outputs))


def _share(output: TensorError) -> float:
    """An output's error as a share of max(1, largest output), and of what verify allows on large inputs."""
    if output.max_abs_error is None:
        return float("inf")
    largest = output.largest or 0.0
    allowed = (output.limit or 0.0) / LARGEST_ERROR if output.input == "large" and largest <= 1 else 0.0
    return output.max_abs_error / max(1.0, largest, allowed)


def _race(artefact: Path, model: Path, options: SweepOptions) -> dict[str, float]:
    race = BenchOptions(against=("onnxruntime",), rounds=options.rounds, seconds=options.seconds)
    programs = bench(artefact, model, race).programs
    return {program.name: program.timing.median for program in programs if program.timing}


def code_digest() -> str:
    """A hash of nincc's own sources: results of other sources do not count."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.suffix in (".py", ".in") and "bench" not in path.parts:
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def summary(results: list[NetResult]) -> dict[str, Any]:
    """Counts, the worst of each kind, and the seeds that fail."""
    ratios = sorted(result.ratio for result in results if result.ratio is not None)
    errors = [result.error for result in results if result.error is not None]
    return {
        "nets": len(results),
        "wrong": [result.seed for result in results if not result.right],
        "slow": [result.seed for result in results if not result.fast],
        "largest_error": max(errors, default=None),
        "judged_for_speed": len(ratios),
        "median_ratio": ratios[len(ratios) // 2] if ratios else None,
        "largest_ratio": ratios[-1] if ratios else None,
        "failures": {result.seed: result.failure for result in results if result.failure},
    }
