"""What ``import nincc`` offers: compile a model, load the result, explain the choices.

Only ``load`` is light; the others import what they need when they are called.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nincc.errors import DeviceError, UsageError
from nincc.gpu_target import GpuTarget
from nincc.options import CompileOptions
from nincc.progress import OnProgress, silent
from nincc.target import AnyTarget, host_of, load_target, missing_features

if TYPE_CHECKING:
    from nincc.frontend.model import Model
    from nincc.report.explain import Explanation
    from nincc.verify.certificate import Certificate

StrPath = str | os.PathLike[str]

#: Told what is being done, and of how many steps how many are done (0 of 0: not known).

MOST_THREADS = 256


@dataclass(frozen=True)
class Artefact:
    """A compiled net on disk."""

    path: Path
    manifest: dict[str, Any]

    @property
    def certificate(self) -> Certificate | None:
        """What verification found when it was compiled; None with ``verify=False``."""
        from nincc.verify.certificate import Certificate

        stored = self.manifest["certificate"]
        return None if stored is None else Certificate.from_dict(stored)

    def load(self, threads: int = 1) -> Any:
        """The net, ready to be called: see :func:`load`."""
        return load(self.path, threads)


def load(path: StrPath, threads: int = 1) -> Any:
    """The artefact in folder ``path`` as a callable: ``net(x)`` takes float32 arrays in graph order.

    It gives an array, or a tuple where there are several outputs.  Raises UsageError where the folder is no
    artefact and DeviceError where this machine cannot run it.
    """
    from nincc import runtime

    return runtime.load(Path(path), threads)


def compile_options(target: str | AnyTarget = "x86", **values: Any) -> CompileOptions:
    """Checked options; ``values`` are the fields of CompileOptions, paths as text too.  Raises UsageError for a wrong
    one."""
    chosen = load_target(target) if isinstance(target, str) else target
    paths = {name: Path(values[name]) for name in ("schedules", "dump_ir") if values.get(name) is not None}
    options = CompileOptions(target=chosen, **{**values, **paths})
    if not 1 <= options.threads <= MOST_THREADS:
        raise UsageError(f"--threads {options.threads} is out of range", hint=f"give 1 to {MOST_THREADS}")
    if not 0 < options.error_budget < 1:
        raise UsageError(f"--error-budget {options.error_budget} is out of range", hint="give a share of 1, like 1e-5")
    for name, allowed in (("optimize", ("speed", "size")), ("libc", ("glibc", "musl"))):
        if getattr(options, name) not in allowed:
            raise UsageError(f"--{name} '{getattr(options, name)}' is unknown", hint=" or ".join(allowed))
    if options.schedules is not None and not options.schedules.is_file():
        raise UsageError("no such file", where=str(options.schedules), hint="--schedules takes a JSONL file")
    # The threads are the CPU's: a GPU net has one, which launches.
    return replace(options, threads=1) if isinstance(chosen, GpuTarget) else options


def compile(
    model: StrPath,
    target: str | AnyTarget = "x86",
    *,
    out: StrPath,
    on_progress: OnProgress = silent,
    **options: Any,
) -> Artefact:
    """Compiles the ONNX file ``model`` for ``target`` into the folder ``out``.

    ``options`` are the fields of :class:`nincc.options.CompileOptions` (``name``, ``batch``, ``threads`` …).
    Verifies by default.  Whatever is raised, ``out`` is as it was before: ModelError and UsageError for the
    caller's mistakes, VerificationError for a wrong result, DeviceError where the target cannot run here (then
    ``verify=False`` compiles without proof), ToolError and InternalError.
    """
    chosen = compile_options(target, **options)
    _require_device(chosen)
    net = model_to_compile(model, chosen)
    from nincc.artefact import read_manifest, staged
    from nincc.compiler import Builder

    with tempfile.TemporaryDirectory(prefix="nincc-") as work, staged(Path(out)) as folder:
        Builder(net, chosen, Path(work), on_progress).build(folder)
    return Artefact(Path(out), read_manifest(Path(out)))


def _require_device(options: CompileOptions) -> None:
    """DeviceError where the library is to be verified and nothing here can run it: said before the work."""
    if not options.verify:
        return
    from nincc.emulate.device import NATIVE, device_for

    # A GPU that is not here is emulated; its driver library must run all the same.
    host = host_of(options.target)
    try:
        missing = missing_features(host) if device_for(host.triple) == NATIVE else []
    except DeviceError as error:
        raise DeviceError(error.what, hint=f"{error.hint}, or add --no-verify to compile without proof") from error
    if missing:
        raise DeviceError(
            f"nothing here can run target {options.target.name} to verify the result: no {missing[0]}",
            hint="add --no-verify to compile without proof",
        )


def model_to_compile(path: StrPath, options: CompileOptions) -> Model:
    """The model as it is compiled: with its class maps as a further output where ``keep_maps`` asks for them."""
    from nincc.codegen.driver import check_name
    from nincc.frontend import load_model
    from nincc.frontend.maps import with_class_maps

    check_name(options.name)
    model = load_model(path, options.batch)
    return with_class_maps(model) if options.keep_maps else model


def explain(model: StrPath, target: str | AnyTarget = "x86", **options: Any) -> Explanation:
    """What each pass changes in ``model`` or declines, and how each kernel would run; nothing is written."""
    from nincc.report.explain import explain_model

    chosen = compile_options(target, **options)
    return explain_model(model_to_compile(model, chosen), replace(chosen, keep_maps=False))
