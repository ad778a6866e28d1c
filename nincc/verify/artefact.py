"""Judges an artefact on disk: against a model, or by the outputs it carries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nincc.artefact import read_manifest
from nincc.errors import UsageError, VerificationError
from nincc.frontend import Model, load_model, to_relay
from nincc.frontend.maps import with_class_maps
from nincc.tensor import TensorSpec
from nincc.verify.certificate import Certificate, TensorError, rounded, rounded_up
from nincc.verify.inputs import InputSet, read_inputs
from nincc.verify.isolated import IsolatedNet
from nincc.verify.judge import options_on, verify_net

StrPath = str | os.PathLike[str]


def verify_artefact(
    path: StrPath,
    model: StrPath | None = None,
    *,
    inputs: StrPath | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
    threads: int = 1,
    device: str | None = None,
) -> Certificate:
    """The certificate of the artefact in folder ``path``; it may say "fail", which raises nothing.

    With ``model``, an ONNX file, the library is held against both references, on generated inputs or on the
    ``.npz`` file ``inputs``.  Without one, its selftest judges: a generated input against outputs stored when it was
    compiled.  ``device`` is one of :data:`nincc.emulate.DEVICES`, None for the best there is.
    Raises UsageError for wrong arguments and DeviceError where this machine cannot run the library.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if model is None:
        if inputs is not None or rtol is not None or atol is not None:
            raise UsageError("inputs and tolerances need a model to hold the library against", hint="add --model")
        return _selftest(folder, manifest, threads, device)
    graph = _matching_model(folder, manifest, Path(model))
    sets: list[InputSet] | None = None
    if inputs is not None:
        sets = [read_inputs(Path(inputs), graph.inputs)]
    with IsolatedNet(folder, threads, device) as net:
        options = options_on(net.device, rtol=rtol, atol=atol, seed=seed)
        certificate = verify_net(net, graph, to_relay(graph), sets, options)
    return certificate.with_notes(_notes(manifest, graph))


def _matching_model(folder: Path, manifest: Mapping[str, Any], path: Path) -> Model:
    """The model with the artefact's batch and outputs; UsageError where it is of another shape."""
    model = load_model(path, batch=manifest["batch"])
    if manifest["options"]["keep_maps"]:
        model = with_class_maps(model)
    for kind, ours in (("inputs", model.inputs), ("outputs", model.outputs)):
        stored = tuple(TensorSpec(item["name"], tuple(item["shape"])) for item in manifest[kind])
        if stored != ours:
            raise UsageError(
                f"the model's {kind} are {_list(ours)}, the artefact's {_list(stored)}",
                where=str(path),
                hint=f"give the model that {folder} was compiled from",
            )
    return model


def _list(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs)


def _notes(manifest: Mapping[str, Any], model: Model) -> tuple[str, ...]:
    if manifest["model"]["sha256"] == model.sha256:
        return ()
    return ("the model file is not the one this artefact was compiled from: its sha256 differs",)


def _selftest(folder: Path, manifest: Mapping[str, Any], threads: int, wanted: str | None) -> Certificate:
    """A certificate from the library's own selftest."""
    if not manifest["selftest"]:
        raise UsageError("the artefact carries no selftest", where=str(folder), hint="add --model")
    tolerance = manifest["selftest"]["tolerance"]
    with IsolatedNet(folder, threads, wanted) as net:
        device = net.device
        try:
            error, failed = net.selftest(), None
        except VerificationError as raised:
            error, failed = float("nan"), raised
    names = " and ".join(item["name"] for item in manifest["outputs"])
    return Certificate(
        verdict="fail" if failed else "pass",
        references=("the outputs stored in the library",),
        inputs=1,
        device=device,
        input_kinds=("selftest",),
        outputs=(TensorError(names, "selftest", rounded(error), None, None, tolerance),),
        passing_rtol=None,
        passing_atol=rounded_up(error),
        guilty="library" if failed else None,
        notes=(failed.what,) if failed else (),
    )
