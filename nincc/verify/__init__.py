"""Proves a compiled library right: its numbers against two references, and who is to blame when they differ.

``nincc.verify`` is this package and, called, a function: ``nincc.verify("build/nin", model="model.onnx")``
is :func:`nincc.verify.artefact.verify_artefact`.  Python binds a package's name in its parent when it is
imported, so a function of the same name in ``nincc`` would come and go.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nincc.verify.certificate import Certificate

__all__ = ["verify_artefact"]


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Certificate:
        return verify_artefact(*arguments, **options)


def verify_artefact(*arguments: Any, **options: Any) -> Certificate:
    """See :func:`nincc.verify.artefact.verify_artefact`; imported at the first call."""
    from nincc.verify.artefact import verify_artefact as judge

    return judge(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
