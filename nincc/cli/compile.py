"""``nincc compile``: a model to a native library, proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nincc.cli.common import bytes_text, json_option, note, progress, show, target_option
from nincc.cli.options import pass_options
from nincc.cli.proof import proof_lines


@click.command()
@click.argument("model")
@target_option
@click.option("-o", "--output", required=True, metavar="DIR", help="The folder to write.")
@click.option("--name", default="nin", show_default=True, help="Prefix of files and of C symbols.")
@pass_options
@click.option("--libc", type=click.Choice(["glibc", "musl"]), default="glibc", show_default=True)
@click.option("--no-verify", is_flag=True, help="Do not hold the result against the references.")
@json_option
def command(model: str, target: str, output: str, no_verify: bool, as_json: bool, **given: Any) -> None:
    """Compile MODEL, an ONNX file, to a library that needs no runtime, and verify it.

    DIR gets lib<name>.a, lib<name>.so, <name>.h, <name>.py, <name>.pc, example.c, manifest.json and NOTICE.
    A failed compile leaves DIR as it was.
    """
    from nincc.api import compile

    with progress("compile") as tell:
        artefact = compile(Path(model), target, out=output, on_progress=tell, verify=not no_verify, **given)
    for text in artefact.manifest["model"]["notes"]:
        note(text)
    show({"path": str(artefact.path), **artefact.manifest}, as_json, lambda: _text(artefact))


def _text(artefact: Any) -> str:
    manifest, certificate = artefact.manifest, artefact.certificate
    target, files = manifest["target"]["name"], ", ".join(manifest["files"])
    return "\n".join(
        (
            f"{artefact.path}: {manifest['model']['name']} for {target}",
            f"  {files}",
            f"  weights {bytes_text(manifest['weight_bytes'])}, workspace {bytes_text(manifest['workspace_bytes'])},"
            f" {len(manifest['kernels'])} kernels, {manifest['macs']:,} multiply-accumulates",
            *(proof_lines(certificate) if certificate else ["  not verified (--no-verify)"]),
        )
    )
