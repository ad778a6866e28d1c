"""Tuning: measures kernels of a net's layers and keeps what it finds as records.

``nincc.tune`` is this package and, called, a function: ``nincc.tune("model.onnx", target="x86", trials=200)`` is
:func:`tune_model`.  See :mod:`nincc.verify` for why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nincc.target import AnyTarget
    from nincc.tune.options import Progress, Tuned

__all__ = ["tune_model"]


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Tuned:
        return tune_model(*arguments, **options)


def _silent(progress: Progress) -> None:
    pass


def tune_model(
    model: str | PathLike[str],
    target: str | AnyTarget = "x86",
    *,
    records: str | PathLike[str] | None = None,
    on_progress: Callable[[Progress], None] = _silent,
    **options: Any,
) -> Tuned:
    """Tunes the ONNX file ``model`` for ``target``; every trial is kept in ``records`` (``NAME.<target>.jsonl``).

    ``options`` are the fields of :class:`nincc.tune.options.TuneOptions` and of
    :class:`nincc.options.CompileOptions`.  Goes on where an earlier call stopped.  Raises UsageError for a wrong
    argument or a file in use, DeviceError where nothing runs the target.
    """
    from nincc.options import CompileOptions
    from nincc.target import load_target
    from nincc.tune.options import TuneOptions
    from nincc.tune.tuner import tune

    own = {field.name for field in fields(TuneOptions)} & set(options)
    tuning = TuneOptions(**{name: options.pop(name) for name in own})
    chosen = load_target(target) if isinstance(target, str) else target
    compile_as = CompileOptions(target=chosen, **options)
    return tune(Path(model), None if records is None else Path(records), compile_as, tuning, on_progress)


sys.modules[__name__].__class__ = _CallablePackage
