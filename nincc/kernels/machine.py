"""What kernels ask of the target they are lowered for, beyond the widths in their attributes."""

from __future__ import annotations

from nincc._tvm import tvm


def architecture() -> str:
    """The first part of the triple that is compiled for; empty outside of a target."""
    target = tvm.target.Target.current(allow_none=True)
    return str(target.attrs.get("mtriple", "")).split("-")[0] if target is not None else ""


def address_type() -> str:
    """The integer type that element offsets are best computed in: as wide as an address."""
    return "int32" if architecture().startswith("arm") else "int64"


def register_lanes(lanes: int) -> int:
    """float32 lanes of one register, where kernels' vectors of ``lanes`` may be two: code without reuse of operands
    is best written for one, lest the registers run out."""
    return min(lanes, 4) if architecture() == "aarch64" else lanes
