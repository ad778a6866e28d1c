"""FuseHead: softmax in the launch of the mean; declined where the means are read elsewhere or shared among blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernels.cuda_device import run_module
from nincc._tvm import tvm
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.plan_attrs import plan_attrs
from nincc.kernels.cuda.stage import Stage
from nincc.kernels.cuda.weights import pack_launch
from nincc.kernels.ops import call
from nincc.kernels.spec import Conv
from nincc.passes.fuse_head import FuseHead
from nincc.passes.pipeline import run_passes
from passes.gpu_running import OPTIONS
from passes.running import call_of, layer, module, operators

relay = tvm.relay


def mean(tiles: Any, softmax: int = 0) -> Any:
    return call("nincc.cuda_mean", [tiles], pixels=64, softmax=softmax, threads=64, layer="cccp6", macs=0, reason="")


def means(data: Any, classes: int) -> Any:
    return call("nincc.unpack", [data], channels=classes, layer="cccp6", macs=0, reason="", tasks=1)


def softmax(data: Any, axis: int = 1) -> Any:
    return layer(relay.nn.softmax(data, axis=axis), "prob")


def run(body: Any, x: Any) -> tuple[Any, Any]:
    after, (record,) = run_passes(module(x, body=body), [FuseHead()], OPTIONS)
    return after, record


@pytest.mark.parametrize("flat", [True, False])
def test_softmax_over_the_classes(flat: bool) -> None:
    x = relay.var("x", shape=(2, 16, 12))
    scores = means(mean(x), 10)
    after, record = run(softmax(relay.reshape(scores, (2, 10)) if flat else scores), x)
    assert operators(after) == ["nincc.cuda_mean"] + ["reshape"] * (not flat)
    assert call_of(after, "nincc.cuda_mean")["softmax"] == 10
    assert record.changed == ["prob: softmax in the launch of cccp6's mean"]


def test_declines_a_second_reader_of_the_means() -> None:
    x = relay.var("x", shape=(2, 16, 12))
    scores = relay.reshape(means(mean(x), 10), (2, 10))
    _, record = run(relay.Tuple([softmax(scores), scores]), x)
    assert record.declined == ["prob: the means have another reader"]


def test_declines_a_softmax_over_images() -> None:
    x = relay.var("x", shape=(2, 16, 12))
    _, record = run(softmax(relay.reshape(means(mean(x), 10), (2, 10)), axis=0), x)
    assert record.declined == ["prob: it is not over an image's classes"]


def test_declines_what_is_no_mean() -> None:
    x = relay.var("x", shape=(2, 10))
    _, record = run(softmax(x), x)
    assert record.declined == ["prob: no mean over maps stands right before it"]


def test_where_blocks_share_an_image_the_softmax_is_a_launch_of_its_own() -> None:
    x = relay.var("x", shape=(2, 2, 2, 16))
    plan = Plan(
        Conv("NHWC", 2, 16, (1, 4), 40, (1, 1), (1, 1), (0,) * 4, (1, 1), None, "relu", 4, 1, 1), "patch", "image", 0,
        "none", (1, 4), (1, 1), 64, 16, 2, (1, 1), (Stage(40, 16, "relu", 4, 4, 1),), "mean",
    )  # fmt: skip
    rng = np.random.default_rng(0)
    weights = pack_launch(plan, [(rng.standard_normal((40, 16)), rng.standard_normal(40))])
    scores = call(
        "nincc.cuda_mlpconv", [x, relay.const(weights)], **plan_attrs(plan), layer="cccp8", macs=0, reason="", error=0.0
    )
    before = module(x, body=softmax(relay.reshape(means(scores, 40), (2, 40))))
    after, record = run_passes(before, [FuseHead()], OPTIONS)
    assert operators(after) == ["nincc.cuda_mlpconv", "reshape", "nincc.cuda_mean"]
    attrs = call_of(after, "nincc.cuda_mean")
    assert (attrs["pixels"], attrs["softmax"]) == (1, 40)
    assert record[0].changed == ["prob: softmax in a launch of its own, for several blocks share an image of cccp8"]
    data = rng.standard_normal((2, 2, 2, 16)).astype(np.float32)
    found = [run_module(net, [data]).outputs[0] for net in (before, after)]
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
