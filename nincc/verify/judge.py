"""Judges a library's numbers by the two references, and says which part of nincc is to blame.

    original file ──ONNX Runtime──────────────────────────────► reference 1
        └─frontend─► Relay module ──float64 evaluator─────────► reference 2
                        └─passes, kernels, code generation────► the library

The frontend is wrong where the references disagree, the passes or kernels where the library disagrees with
reference 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nincc.emulate.cuda.session import DEVICE as INTERPRETER
from nincc.errors import ModelError
from nincc.frontend.model import Model
from nincc.verify.certificate import Certificate, Stage, TensorError, rounded_up
from nincc.verify.compare import Difference, Tolerance, compare, default_tolerance
from nincc.verify.inputs import KINDS, InputSet, gain_for, generated_inputs
from nincc.verify.ops.registry import Array
from nincc.verify.reference import Float64, OnnxRuntime

#: A library as verification sees it: arrays in graph order, in and out.  An emulator fits as well.
Run = Callable[[tuple[Array, ...]], Sequence[Array]]


@dataclass(frozen=True)
class VerifyOptions:
    """``rtol``/``atol``: None means nincc's own promise for the kind of output.  ``device`` is how it ran.

    ``kinds`` are the generated inputs to judge on: fewer where an emulator takes its time.
    """

    rtol: float | None = None
    atol: float | None = None
    seed: int = 0
    device: str = "native"
    kinds: tuple[str, ...] = KINDS

    def tolerance(self, reference: Array) -> Tolerance:
        """The tolerance for an output like ``reference``; giving either number replaces the default."""
        if self.rtol is None and self.atol is None:
            return default_tolerance(reference)
        return Tolerance(self.rtol or 0.0, self.atol or 0.0)

    def agreement_tolerance(self, reference: Array) -> Tolerance:
        """How far the references may be apart: asking for more does not make their rounding smaller."""
        largest = float(np.abs(reference).max(initial=0.0))
        default, asked = default_tolerance(reference), self.tolerance(reference)
        return max(default, asked, key=lambda tolerance: tolerance.limit(largest))


def options_on(device: str, **given: Any) -> VerifyOptions:
    """Options for a library that runs on ``device``: on the slowest, a single generated input must do."""
    return VerifyOptions(device=device, kinds=KINDS[:1] if device == INTERPRETER else KINDS, **given)


@dataclass(frozen=True)
class _Trial:
    """What one input set showed: differences by output name."""

    kind: str
    library: dict[str, Difference]
    library_as_promised: bool
    agreement: dict[str, Difference]
    library_as_first: bool
    first_is_finite: bool


def verify_net(
    run: Run,
    model: Model,
    relay_module: Any,
    inputs: Sequence[InputSet] | None = None,
    options: VerifyOptions = VerifyOptions(),
) -> Certificate:
    """Judges ``run`` on ``inputs`` (None: generated ones, amplified until the logits differ).

    ``relay_module`` is the model as imported, before any pass.  Where ONNX Runtime cannot run the file, a
    note says so and reference 2 judges alone.
    """
    judge = _Judge(model, relay_module, options)
    gain = 1.0
    if inputs is None:
        gain = judge.gain()
        inputs = generated_inputs(model.inputs, seed=options.seed, gain=gain, kinds=options.kinds)
        seed = options.seed
    else:
        seed = None
    trials = [judge.trial(run, one) for one in inputs]
    return judge.certificate(trials, inputs, seed, gain)


class _Judge:
    def __init__(self, model: Model, relay_module: Any, options: VerifyOptions) -> None:
        self._model = model
        self._options = options
        self._second = Float64(model, relay_module)
        self._first: OnnxRuntime | None = None
        self._notes: list[str] = []
        try:
            self._first = OnnxRuntime(model.path)
        except ModelError as error:
            self._notes.append(f"{error.what}; judged by the float64 evaluation alone")

    def gain(self) -> float:
        """The amplification of generated inputs, from what a reference makes of a normal input."""
        probe = generated_inputs(self._model.inputs, seed=self._options.seed, kinds=("normal",))
        reference = self._first or self._second  # the first is the faster one
        return gain_for(list(reference.run(self._named(probe[0])).values()))

    def _named(self, inputs: InputSet) -> dict[str, Array]:
        return {spec.name: a for spec, a in zip(self._model.inputs, inputs.arrays, strict=True)}

    def trial(self, run: Run, inputs: InputSet) -> _Trial:
        named = self._named(inputs)
        second = self._second.run(named)
        first = self._first.run(named) if self._first else {}
        names = [spec.name for spec in self._model.outputs]
        found = dict(zip(names, run(inputs.arrays), strict=True))
        shared = [name for name in names if name in first]  # --keep-maps adds outputs the file lacks
        tolerances = {name: self._options.tolerance(second[name]) for name in names}
        return _Trial(
            kind=inputs.kind,
            library={name: compare(found[name], second[name], tolerances[name]) for name in names},
            library_as_promised=all(compare(found[name], second[name]).passed for name in names),
            agreement={
                name: compare(first[name], second[name], self._options.agreement_tolerance(second[name]))
                for name in shared
            },
            library_as_first=all(compare(found[name], first[name]).passed for name in shared),
            first_is_finite=all(bool(np.isfinite(first[name]).all()) for name in shared),
        )

    def certificate(
        self, trials: Sequence[_Trial], inputs: Sequence[InputSet], seed: int | None, gain: float
    ) -> Certificate:
        guilty = _gravest([_guilty(trial) for trial in trials])
        library = [difference for trial in trials for difference in trial.library.values()]
        first = (self._first.name,) if self._first else ()
        return Certificate(
            verdict="fail" if guilty else "pass",
            references=(*first, self._second.name),
            inputs=len(inputs),
            input_kinds=tuple(one.kind for one in inputs),
            outputs=_worst([(trial.kind, trial.library) for trial in trials]),
            passing_rtol=rounded_up(max(difference.relative for difference in library)),
            passing_atol=rounded_up(max(difference.max_abs for difference in library)),
            device=self._options.device,
            guilty=guilty,
            seed=seed,
            gain=gain,
            reference_agreement=_worst([(trial.kind, trial.agreement) for trial in trials]),
            notes=tuple(self._notes),
        )


def _guilty(trial: _Trial) -> Stage | None:
    """The stage that one trial convicts."""
    library_right = all(difference.passed for difference in trial.library.values())
    references_agree = all(difference.passed for difference in trial.agreement.values())
    if library_right and references_agree:
        return None
    if not trial.first_is_finite:
        return "model"
    if references_agree:
        return "tolerance" if trial.library_as_promised else "passes or kernels"
    if library_right:
        return "frontend"
    return "evaluator" if trial.library_as_first else "frontend, and passes or kernels"


def _gravest(stages: Sequence[Stage | None]) -> Stage | None:
    """The first stage that is to blame; a tolerance only where nothing else is."""
    blamed = [stage for stage in stages if stage is not None]
    return next((stage for stage in blamed if stage != "tolerance"), blamed[0] if blamed else None)


def _worst(trials: Sequence[tuple[str, dict[str, Difference]]]) -> tuple[TensorError, ...]:
    """An entry a tensor: its errors on the input where they come nearest to their limit, or pass it farthest."""

    def worst(name: str) -> TensorError:
        kind, found = max(trials, key=lambda trial: trial[1][name].share_of_limit)
        return TensorError.of(name, kind, found[name])

    return tuple(worst(name) for name in trials[0][1])
