"""The time of each kernel, from a build that times its steps."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nincc.bench.layers import multiplication_share, profile_layers, summed
from nincc.bench.peak import Peak
from nincc.bench.result import LayerResult
from nincc.bench.subject import read_subject
from nincc.errors import UsageError

PEAK = Peak("x86-64-v3", 8, 1, gflops=100.0)


def test_every_kernel_has_its_time_and_limit(artefact, digits_relu):
    subject = read_subject(artefact, digits_relu, 1)
    layers = profile_layers(subject, threads=1, seed=0, peak=PEAK)
    assert [(layer.layer, layer.macs) for layer in layers] == [
        (kernel["layer"], kernel["macs"]) for kernel in subject.manifest["kernels"]
    ]
    assert all(0 < layer.seconds < 0.1 for layer in layers if layer.macs)
    assert sum(layer.macs for layer in layers) == subject.manifest["macs"]
    direct = [layer for layer in layers if layer.algorithm in ("gemm", "gemm_chain", "conv2d")]
    assert direct and all(layer.limit == pytest.approx(2e-11 * layer.macs) for layer in direct)


def test_other_kernels_than_the_artefacts_are_refused(artefact, digits_relu):
    subject = read_subject(artefact, digits_relu, 1)
    kernels = json.loads(json.dumps(subject.manifest["kernels"]))
    kernels[0]["schedule"]["tasks"] = 77
    with pytest.raises(UsageError, match="gives other kernels"):
        profile_layers(replace(subject, manifest={**subject.manifest, "kernels": kernels}), 1, 0, PEAK)


@pytest.mark.parametrize(
    ("m", "r", "kernel", "strides", "share"),
    [
        (2, 3, [3, 3], [1, 1], 16 / 36),  # F(2x2, 3x3): 16 products for 4 outputs of 9 taps
        (4, 5, [5, 5], [1, 1], 64 / 400),
        (2, 3, [11, 11], [4, 4], 16 * 16 / (4 * 121)),  # 16 phases of 3x3
    ],
)
def test_winograd_needs_its_share_of_the_multiplications(m, r, kernel, strides, share):
    schedule = {"m": m, "r": r, "kernel": kernel, "strides": strides}
    assert multiplication_share({"op": "nincc.conv2d_winograd", "schedule": schedule}) == pytest.approx(share)


@pytest.mark.parametrize(
    ("units", "strassen", "mr", "share"),
    [
        ([32], [1], 6, 7 / 8),
        ([48], [1], 6, 1 - 2 / 3 / 8),  # the third panel has no partner
        ([48], [1], 8, 7 / 8),  # but halves
        ([32, 32], [1, 0], 6, (64 * 7 / 8 + 32) / 96),
    ],
)
def test_strassens_pairs_need_seven_products_of_eight(units, strassen, mr, share):
    schedule = {"channels": 64, "units": units, "strassen": strassen, "lanes": 8, "mr": mr}
    schedule["activations"] = ["relu"] * len(units)
    assert multiplication_share({"op": "nincc.gemm_chain", "schedule": schedule}) == pytest.approx(share)


def test_direct_kernels_need_all():
    assert multiplication_share({"op": "nincc.gemm", "schedule": {"mr": 4}}) == 1


def test_a_kernel_that_runs_for_parts_of_a_batch_is_one_row():
    conv, gemm = (LayerResult(name, "nincc.gemm", "gemm", 10, 2.0, 1.0) for name in ("conv1", "cccp1"))
    assert summed([conv, gemm, conv]) == (replace(conv, macs=20, seconds=4.0, limit=2.0), gemm)
