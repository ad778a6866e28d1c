"""A certificate as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nincc.cli.common import table

if TYPE_CHECKING:
    from nincc.verify.certificate import Certificate, TensorError


def proof_lines(certificate: Certificate) -> list[str]:
    """The verdict, what it rests on, the errors and the tolerance that would pass."""
    verdict = "verified" if certificate.passed else f"WRONG: {certificate.guilty}"
    inputs = "1 input" if certificate.inputs == 1 else f"{certificate.inputs} inputs"
    lines = [f"  {verdict} ({certificate.device}) on {inputs}: {', '.join(certificate.input_kinds)}"]
    lines += [f"  reference: {reference}" for reference in certificate.references]
    rows = [_row("output", error) for error in certificate.outputs]
    rows += [_row("references apart", error) for error in certificate.reference_agreement]
    rows += [_row("block (second build)", error) for error in certificate.blocks]
    header = ("", "tensor", "worst on", "max error", "mean error", "largest", "limit")
    lines += [f"  {line}" for line in table(rows, header, right=(3, 4, 5, 6)).splitlines()]
    passing = [
        f"{key} {value:.3g}"
        for key, value in (("--rtol", certificate.passing_rtol), ("--atol", certificate.passing_atol))
        if value is not None
    ]
    lines.append("  would pass with " + " or ".join(passing) if passing else "  no tolerance would pass")
    return lines + [f"  note: {text}" for text in certificate.notes]


def _row(what: str, error: TensorError) -> tuple[str, ...]:
    numbers = (error.max_abs_error, error.mean_abs_error, error.largest, error.limit)
    return (what, error.name, error.input, *("-" if number is None else f"{number:.2e}" for number in numbers))
