"""Hypothesis strategies for operators, and the settings all kernel tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from kernels.harness import lanes_here
from nincc.kernels.spec import Pooling

# Derandomised: the same examples every time.  Building a kernel takes 0.1 to 1 s, so shrinking is not worth it.
kernel_settings = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

lanes = st.sampled_from(lanes_here())
activations = st.sampled_from(["none", "relu", "relu6"])
channels = st.integers(1, 70)
batches = st.sampled_from([1, 1, 2, 3, 5, 9, 32])
tasks = st.integers(1, 5)
rows = st.integers(1, 12)


@st.composite
def poolings(draw, size: tuple[int, int]) -> Pooling:
    """Any pool of a map of ``size`` whose every window holds an element of the map, floor or ceil."""
    kind = draw(st.sampled_from(["max", "avg"]))
    kernel, strides, before, after, out = zip(*(draw(_axis(extent)) for extent in size), strict=True)
    padding = (before[0], before[1], after[0], after[1])
    return Pooling(kind, kernel, strides, padding, out, draw(st.booleans()))


@st.composite
def _axis(draw, extent: int) -> tuple[int, int, int, int, int]:
    kernel = draw(st.integers(1, min(6, extent + 1)))
    stride = draw(st.integers(1, 4))
    before = draw(st.integers(0, kernel - 1))
    after = draw(st.integers(0, kernel - 1))
    span = max(0, extent + before + after - kernel)
    out = span // stride + 1
    if draw(st.booleans()) and span % stride:
        out += 1  # ceil: one more window, which hangs over
    while out > 1 and (out - 1) * stride - before >= extent:
        out -= 1
    return kernel, stride, before, after, out
