"""nincc compiles an ONNX Network-in-Network into a small native library, and proves it right.

    import nincc

    artefact = nincc.compile("model.onnx", target="x86", out="build/nin")
    net = nincc.load(artefact.path, threads=2)
    probabilities = net(images)
    certificate = nincc.verify(artefact.path, model="model.onnx")
    nincc.tune("model.onnx", target="x86", records="model.jsonl")

Names are imported when first used, so that ``import nincc`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nincc.api import Artefact, compile, load
    from nincc.errors import NinccError
    from nincc.target import Target

__version__ = "0.1.0"
__all__ = ["Artefact", "NinccError", "Target", "__version__", "compile", "load", "tune", "verify"]

_HOMES = {
    "Artefact": "nincc.api",
    "compile": "nincc.api",
    "load": "nincc.api",
    "NinccError": "nincc.errors",
    "Target": "nincc.target",
}


def __getattr__(name: str) -> Any:
    if name in ("tune", "verify"):  # packages that can be called: see nincc/verify/__init__.py
        return import_module(f"nincc.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nincc' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
