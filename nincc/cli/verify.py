"""``nincc verify``: holds an artefact against a model."""

from __future__ import annotations

from typing import Any

import click

from nincc.cli.common import device_option, json_option, progress, show
from nincc.cli.proof import proof_lines


@click.command()
@click.argument("artefact")
@click.option("--model", metavar="FILE", help="The ONNX file to hold it against; without it, the selftest.")
@click.option("--inputs", metavar="F.npz", help="Inputs by name; without it, generated ones.")
@click.option("--rtol", type=float, help="Share of the largest output that an error may reach.")
@click.option("--atol", type=float, help="Absolute error allowed, beside --rtol.")
@click.option("--seed", default=0, show_default=True, help="Seed of the generated inputs.")
@click.option("--threads", default=1, show_default=True, help="Threads of the library.")
@device_option
@json_option
def command(artefact: str, as_json: bool, **given: Any) -> None:
    """Hold ARTEFACT, a compiled folder, against a model's two references, or let it test itself.

    The references are ONNX Runtime on the model file as it is, and the imported graph in float64. States the
    tolerance that would pass. Without --rtol and --atol: 1e-5 on probabilities, more where logits are
    over 20 apart, and 2e-5 of the largest logit. Exit code 3 where the library is wrong.
    """
    from nincc.verify import verify_artefact

    with progress("verify") as tell:
        tell(artefact, 0, 0)
        certificate = verify_artefact(artefact, **given)
    show(certificate.to_dict(), as_json, lambda: "\n".join((f"{artefact}:", *proof_lines(certificate))))
    certificate.require_pass(artefact)
