"""What verification found, as plain data for the manifest, for JSON and for the eye.  No TVM in here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from nincc.errors import VerificationError
from nincc.verify.compare import Difference

#: Which part of nincc is to blame when a result is wrong.
Stage = Literal[
    "frontend",
    "passes or kernels",
    "frontend, and passes or kernels",
    "evaluator",  # the library and ONNX Runtime agree: nincc's own reference is wrong
    "model",  # ONNX Runtime's result is not finite either
    "library",  # all that a selftest can say
    "tolerance",  # right by nincc's own promise, but more was asked
]


#: How many times its limit an error of right kernels may reach: 1.2 in 142 random nets on four large inputs each.
MOST_ROUNDING = 10


@dataclass(frozen=True)
class TensorError:
    """The errors of one tensor on the input it fared worst on; None stands for a value that is not finite."""

    name: str
    input: str
    max_abs_error: float | None
    mean_abs_error: float | None
    largest: float | None
    limit: float | None

    @classmethod
    def of(cls, name: str, kind: str, difference: Difference) -> TensorError:
        """``difference`` to three digits: the rest is noise of the machine that measured."""
        numbers = (difference.max_abs, difference.mean_abs, difference.largest, difference.limit)
        return cls(name, kind, *map(rounded, numbers))

    @property
    def passed(self) -> bool:
        if self.max_abs_error is None:
            return False
        return self.limit is None or self.max_abs_error <= self.limit


@dataclass(frozen=True)
class Certificate:
    """The verdict on a library, and everything it rests on.

    ``outputs`` are the library's errors against the last of ``references``; ``reference_agreement`` is how
    far the references are from each other.  ``blocks`` come from a second build, whose block ends are
    outputs.  ``passing_rtol`` (with atol 0) and ``passing_atol`` (with rtol 0) are the tolerances that would
    pass; None where none would.
    """

    verdict: Literal["pass", "fail"]
    references: tuple[str, ...]
    inputs: int
    input_kinds: tuple[str, ...]
    outputs: tuple[TensorError, ...]
    passing_rtol: float | None
    passing_atol: float | None
    device: str = "native"
    guilty: Stage | None = None
    seed: int | None = None
    gain: float = 1.0
    reference_agreement: tuple[TensorError, ...] = ()
    blocks: tuple[TensorError, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.verdict == "pass"

    @property
    def max_abs_error(self) -> float | None:
        """The largest error of any output; None where one is not finite."""
        errors = [output.max_abs_error for output in self.outputs]
        return None if None in errors else max((e for e in errors if e is not None), default=0.0)

    def with_notes(self, notes: tuple[str, ...]) -> Certificate:
        """The same with further notes."""
        return replace(self, notes=self.notes + notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, keys in a fixed order."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Certificate:
        """The certificate that :meth:`to_dict` wrote, also after a way through JSON."""
        values = {item.name: data[item.name] for item in fields(cls) if item.name in data}
        for key in ("outputs", "reference_agreement", "blocks"):
            values[key] = tuple(TensorError(**entry) for entry in values.get(key, ()))
        for key in ("references", "input_kinds", "notes"):
            values[key] = tuple(values.get(key, ()))
        return cls(**values)

    def require_pass(self, where: str) -> None:
        """Raises VerificationError, in one line, where the verdict is "fail"."""
        if self.passed:
            return
        raise VerificationError(self._complaint(), where=where, hint=self._advice())

    def _complaint(self) -> str:
        if self.guilty == "library":
            return f"wrong result: {' '.join(self.notes)}"
        suspects = self.reference_agreement if self.guilty == "frontend" else self.outputs
        bad = next((error for error in suspects if not error.passed), suspects[0])
        if bad.max_abs_error is None:
            what = f"output '{bad.name}' holds NaN or infinity"
        else:
            what = f"output '{bad.name}' is off by {bad.max_abs_error:.3g} (limit {bad.limit:.3g})"
        if self.guilty == "tolerance":
            return f"{what}: within nincc's own tolerance, but not within the one that was asked for"
        return f"wrong result: {what}; guilty: {self.guilty}"

    def _advice(self) -> str:
        if self.guilty == "model":
            return "ONNX Runtime's own result is not finite: the model overflows float32 on this input"
        if self.guilty == "library":
            return "verify it with --model to learn more"
        if self.passing_rtol is None:
            return "no tolerance would pass; please report the model"
        passing = f"--rtol {self.passing_rtol:.3g} would pass"
        if self.guilty == "tolerance":
            return passing
        if self.guilty == "passes or kernels" and self._may_be_rounding():
            return f"{passing}; compile with --error-budget 1e-6, and if that fails too, please report the model"
        return f"{passing}; please report the model"

    def _may_be_rounding(self) -> bool:
        """Whether kernels that are right but coarse, like Winograd's, could be off by as much."""
        failed = [error for error in self.outputs if not error.passed]
        return all((error.max_abs_error or 0) < MOST_ROUNDING * (error.limit or 0) for error in failed)


def rounded(value: float) -> float | None:
    """To three digits; None for what JSON cannot say."""
    return float(f"{value:.3g}") if math.isfinite(value) else None


def rounded_up(value: float) -> float | None:
    """To three digits, never below ``value``, so that the figure works as a tolerance."""
    if not math.isfinite(value) or value == 0:
        return None if value else 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / step) * step:.3g}")
