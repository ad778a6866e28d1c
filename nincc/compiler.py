"""One compile from a model to a folder: code, a draft, its proof, the artefact with the proof inside."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nincc.artefact import Build, Selftest, build_artefact, selftest_inputs
from nincc.codegen.child import CompiledProgram, Progress, compile_in_child
from nincc.emulate.device import device_of, most_threads
from nincc.errors import DeviceError
from nincc.frontend import Model, block_ends, to_relay, with_outputs
from nincc.options import CompileOptions
from nincc.progress import OnProgress
from nincc.verify.blocks import block_errors
from nincc.verify.certificate import Certificate, TensorError
from nincc.verify.compare import default_tolerance
from nincc.verify.inputs import generated_inputs
from nincc.verify.isolated import IsolatedNet, same_for_all_threads
from nincc.verify.judge import Run, options_on, verify_net
from nincc.verify.reference import Float64


class _Cancelled(Exception):
    """Raised in the second build's thread when the first one has failed."""


class Builder:
    """Builds one artefact.  ``work`` is an empty folder for what lies between.

    The second build, for the errors per block, is compiled at the same time as the first, in a thread.
    """

    def __init__(self, model: Model, options: CompileOptions, work: Path, on_progress: OnProgress) -> None:
        self._model = model
        # The maps are an output of the model already: see nincc.api.model_to_compile.
        self._inner = replace(options, keep_maps=False)
        self._options = options
        self._work = work
        self._tell = on_progress
        self._cancelled = False

    def build(self, folder: Path) -> None:
        """Writes the artefact into ``folder``; raises what :func:`nincc.api.compile` lists."""
        with ThreadPoolExecutor(1) as pool:
            try:
                self._build(folder, pool)
            except BaseException:
                self._cancelled = True
                raise

    def _build(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        wanted = self._options.verify and block_ends(self._model)
        blocks = pool.submit(self._compile_blocks) if wanted else None
        compiled = self._compile(self._model, "net", self._on_child)
        self._tell("reference", 0, 0)
        module = to_relay(self._model)
        selftest = self._selftest(module)
        certificate = self._prove(compiled, module) if self._options.verify else None
        if certificate is not None and blocks is not None:
            self._tell("blocks", 0, 0)
            certificate = replace(certificate, blocks=self._block_errors(blocks.result()))
        self._tell("link", 0, 0)
        build_artefact(folder, self._parts(self._model, compiled, certificate), selftest)
        if certificate is not None:
            self._confirm(folder)

    def _compile(
        self, model: Model, name: str, on_progress: Callable[[Progress], None], **changes: Any
    ) -> CompiledProgram:
        folder = self._work / name
        folder.mkdir()
        return compile_in_child(model, replace(self._inner, **changes), folder, on_progress)

    def _on_child(self, event: Progress) -> None:
        self._tell(f"{event.stage} {event.name}".strip(), event.done, event.total)

    def _compile_blocks(self) -> tuple[Model, CompiledProgram]:
        """The same net with its block ends as outputs."""

        def stop_if_cancelled(event: Progress) -> None:
            if self._cancelled:
                raise _Cancelled

        model = with_outputs(self._model, block_ends(self._model))
        return model, self._compile(model, "blocks", stop_if_cancelled, dump_ir=None, strict_schedules=False)

    def _parts(self, model: Model, compiled: CompiledProgram, certificate: Certificate | None) -> Build:
        return Build(
            model=model,
            program=compiled.program,
            objects=compiled.objects,
            options=self._options,
            passes=compiled.passes,
            certificate=certificate.to_dict() if certificate else None,
        )

    def _selftest(self, module: Any) -> Selftest:
        """What the library must give for its generated input, by reference 2."""
        arrays = selftest_inputs(self._model.inputs)
        named = {spec.name: array for spec, array in zip(self._model.inputs, arrays, strict=True)}
        outputs = Float64(self._model, module).run(named).values()
        limits = [default_tolerance(output).limit(float(np.abs(output).max())) for output in outputs]
        return Selftest(tuple(output.astype(np.float32) for output in outputs), max(limits))

    def _prove(self, compiled: CompiledProgram, module: Any) -> Certificate:
        """The certificate of a draft; VerificationError unless it passes."""
        draft = self._draft(self._model, compiled, "net")
        self._tell("verify", 0, 0)
        threads = most_threads(device_of(draft), self._options.threads)
        try:
            with IsolatedNet(draft) as net, IsolatedNet(draft, threads) as threaded:
                run: Run = same_for_all_threads(net, threaded) if threads > 1 else net
                certificate = verify_net(run, self._model, module, options=options_on(net.device))
        except DeviceError as error:
            raise _not_here(error) from error
        certificate.require_pass(str(self._model.path))
        return certificate

    def _draft(self, model: Model, compiled: CompiledProgram, name: str) -> Path:
        folder = self._work / f"{name}-draft"
        folder.mkdir()
        parts = self._parts(model, compiled, None)
        build_artefact(folder, replace(parts, options=replace(parts.options, dump_ir=None)), None)
        return folder

    def _block_errors(self, second: tuple[Model, CompiledProgram]) -> tuple[TensorError, ...]:
        """Errors of the block ends on one input, by the second build."""
        model, compiled = second
        (inputs,) = generated_inputs(model.inputs, kinds=("normal",))
        with IsolatedNet(self._draft(model, compiled, "blocks")) as net:
            return block_errors(model, to_relay(model), block_ends(self._model), inputs, net)

    def _confirm(self, folder: Path) -> None:
        """The shipped library, not only its draft, passes its own selftest."""
        with IsolatedNet(folder) as net:
            net.selftest()


def _not_here(error: DeviceError) -> DeviceError:
    return DeviceError(error.what, where=error.where, hint="add --no-verify to compile without proof")
