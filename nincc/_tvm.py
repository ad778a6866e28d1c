"""The one door to TVM: sets what must be set before its first import."""

from __future__ import annotations

import os

# Without this, TVM tries to download tuning records at the first strategy look-up.
os.environ.setdefault("TOPHUB_LOCATION", "NONE")

import tvm

__all__ = ["tvm"]
