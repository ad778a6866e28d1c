"""A GPU trial's data: a launch's inputs as the net's other launches leave them, and its result in float64."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.weights import pack_launch
from nincc.kernels.spec import round_up
from nincc.records.launch import LaunchWorkload
from nincc.tune.data import GARBAGE, Doubles, Floats, columns


@dataclass(frozen=True)
class LaunchSample:
    """``data`` is [parts, N, C, H, W]: partial sums, or one whole map; weights are OIHW, then [units, depth].

    ``source_bias`` belongs to the partial sums.  ``expected`` is [pixels, units], or [images, units] of sums or means.
    """

    data: Floats
    source_bias: Floats
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    expected: Doubles


def make_launch_sample(workload: LaunchWorkload, seed: int) -> LaunchSample:
    """Normal data (rectified, where it is whole), He-scaled normal weights, and what they give."""
    rng, conv = np.random.default_rng(seed), workload.conv()
    parts = max(1, workload.partials)
    data = rng.standard_normal((parts, conv.batch, conv.channels, *conv.size), np.float32) / np.float32(parts**0.5)
    source_bias = rng.standard_normal(conv.channels, np.float32) * np.float32(0.1)
    if not workload.reads_sums:
        data, source_bias = np.maximum(data, 0), np.zeros_like(source_bias)
    shapes = [(conv.units, conv.channels, *conv.kernel), *zip(workload.units[1:], workload.units, strict=False)]
    weights = [rng.standard_normal(s, np.float32) * np.float32(np.sqrt(2 / prod(s[1:]))) for s in shapes]
    biases = [rng.standard_normal(s[0], np.float32) * np.float32(0.1) for s in shapes]
    sample = LaunchSample(data, source_bias, tuple(weights), tuple(biases), np.empty(0))
    return LaunchSample(data, source_bias, sample.weights, sample.biases, _expected(workload, sample))


def _expected(workload: LaunchWorkload, sample: LaunchSample) -> Doubles:
    conv = workload.conv()
    source = sample.data.sum(axis=0, dtype=np.float64) + sample.source_bias[:, None, None]
    result = columns(conv, np.maximum(source, 0))
    for weight, bias in zip(sample.weights, sample.biases, strict=True):
        flat = weight.transpose(0, 2, 3, 1) if weight.ndim == 4 else weight
        result = result @ flat.reshape(len(weight), -1).T.astype(np.float64)
        if not workload.leaves_sums:
            result = np.maximum(result + bias, 0)
    if workload.epilogue == "map":
        return np.asarray(result)
    images = result.reshape(conv.batch, -1, workload.units[-1])
    return np.asarray(images.sum(axis=1) if workload.epilogue == "sums" else images.mean(axis=1))


def packed_launch(plan: Plan, sample: LaunchSample) -> tuple[Floats, Floats]:
    """The source and all weights as the launch reads them; the lanes that pad a pixel hold garbage."""
    layers = list(zip(sample.weights, sample.biases, strict=True))
    weights = pack_launch(plan, layers, sample.source_bias)
    if plan.conv.layout == "NCHW":
        return np.ascontiguousarray(sample.data[0]), weights
    data = sample.data.transpose(0, 1, 3, 4, 2)
    channels = data.shape[-1]
    out = np.full((*data.shape[:-1], round_up(channels, plan.conv.lanes)), GARBAGE, np.float32)
    out[..., :channels] = data
    return out if plan.partials else out[0], weights


def result_of(workload: LaunchWorkload, output: Floats) -> Doubles:
    """A launch's output as ``expected`` is: partial sums, or the tiles' sums, added up, without the padding."""
    values = output.astype(np.float64)
    if workload.leaves_sums:
        values = values.sum(axis=0)
    if workload.epilogue == "sums":
        values = values.sum(axis=1)
    return values.reshape(-1, values.shape[-1])[:, : workload.units[-1]]


def launch_share(sample: LaunchSample, result: Doubles) -> float:
    """The largest error as a share of the largest value; NaN (memory never written) counts as infinitely wrong."""
    share = float(np.abs(result - sample.expected).max() / max(float(np.abs(sample.expected).max()), 1e-30))
    return share if np.isfinite(share) else float("inf")
