"""A GPU's launches as tasks: the rule's cut of every zoo launch is a point, and knobs are one plan or none."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import onnx
import pytest

from nincc.api import compile_options
from nincc.frontend import load_model, to_relay
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.plan_attrs import plan_of
from nincc.kernels.spec import Pooling
from nincc.passes.graph import Graph, is_call, shape
from nincc.passes.packed import attributes
from nincc.passes.pipeline import optimize
from nincc.records.launch import LaunchWorkload, fitted, launch_workload
from nincc.records.launch_space import LaunchSpace
from nincc.records.spaces import space_of
from nincc.records.task import parse_task, task_for
from nincc.records.workload import LAUNCH
from nincc.target import load_target
from nincc.zoo import build
from tests.records.lines import CUT, LAUNCH_TASK

GPU = load_target("sm_80")
PLAIN = {"shipped_schedules": False}
NETS = ("nin-cifar10", "nin-d2l")


@cache
def launches(net: str) -> list[tuple[Plan, int]]:
    """The rule's plans of a net, each with its MACs."""
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(build(net), Path(folder) / "net.onnx")
        module, _ = optimize(to_relay(load_model(Path(folder) / "net.onnx")), compile_options("sm_80", **PLAIN))
    calls = [node for node in Graph(module["main"]).nodes if is_call(node, "nincc.cuda_mlpconv")]
    return [(plan_of(shape(call.args[0]), attributes(call)), int(attributes(call)["macs"])) for call in calls]


@pytest.mark.parametrize("net", NETS)
def test_the_rules_plan_comes_back_from_its_knobs(net: str) -> None:
    for plan, macs in launches(net):
        task = task_for(launch_workload(plan), GPU, 1)
        assert parse_task(task.name, json.loads(json.dumps(task.args))) == task and task.workload.macs == macs
        space = space_of(task)
        assert isinstance(space, LaunchSpace)
        knobs = space.of_plan(plan)
        assert space.allows(knobs) and fitted(space.launch(knobs), plan) == plan


@pytest.mark.parametrize("net", NETS)
def test_points_are_kernels_and_no_two_the_same(net: str) -> None:
    for plan, _ in launches(net):
        space = space_of(task_for(launch_workload(plan), GPU, 1))
        points = list(space.points(1e-5, GPU))
        assert len({tuple(knobs.values()) for knobs in points}) == len(points) >= 10
        cuts = [space.launch(knobs) for knobs in points[:: max(1, len(points) // 50)]]
        assert all(cut.shared_bytes <= GPU.shared_per_block and (cut.split > 1) == (plan.split > 1) for cut in cuts)
        assert all(value in space.candidates[name] for knobs in points for name, value in knobs.items())


def test_a_convolution_has_200_points_and_several_splits() -> None:
    space = space_of(LAUNCH_TASK)
    points = list(space.points(1e-5, GPU))
    assert len(points) >= 200 and len({space.algorithm(knobs) for knobs in points}) >= 3


@pytest.mark.parametrize("change", [
    {"pixels": 3}, {"columns": 5}, {"shares": 7, "chunk": 96}, {"slices": 5}, {"row_splits": 2}, {"chunk": 36},
    {"row_splits": 1}, {"rows": 64, "cols": 64}, {"chunk": 0}, {"more": 1},
])  # fmt: skip
def test_knobs_that_cut_nothing_evenly_are_refused(change: dict) -> None:
    space = space_of(LAUNCH_TASK)
    assert space.allows(CUT) and not space.allows({**CUT, **change})


def _launch(*args: object) -> LaunchSpace:
    """The space of a launch for sm_86."""
    space = space_of(task_for(LaunchWorkload(LAUNCH, args), load_target("sm_86"), 1))
    assert isinstance(space, LaunchSpace)
    return space


def test_a_cut_whose_threads_meet_in_a_bank_is_no_kernel() -> None:
    """nin-imagenet's second convolution, as sm_86 once had it; a row of other lanes is one."""
    pool = str(Pooling("max", (3, 3), (2, 2), (0, 0, 1, 1), (27, 27)))
    space = _launch("NHWC", 1, 96, (54, 54), (5, 5), (1, 1), (2, 2, 2, 2), (1, 1), pool, "no", 0, 1, (256,), "map")
    free = {"rows": 3, "cols": 7, "pixels": 7, "columns": 8, "shares": 2, "slices": 1, "row_splits": 1, "splits": 4,
            "chunk": 24}  # fmt: skip
    assert space.allows(free) and not space.allows({**free, "cols": 14})


def test_a_cut_that_shared_memory_holds_up_fits_no_card_of_so_many_multipliers() -> None:
    """nin-cifar10's pair of 1×1 layers: four columns a thread feed 64 multipliers, not 128."""
    space = _launch("NHWC", 1, 192, (1, 256), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), "", "all", 1, 0, (192, 192), "map")
    knobs = {"rows": 1, "cols": 4, "pixels": 4, "columns": 4, "shares": 4, "slices": 1, "row_splits": 1, "splits": 1,
             "chunk": 192}  # fmt: skip
    assert space.allows(knobs) and space.fits(knobs, GPU) and not space.fits(knobs, load_target("sm_86"))
    assert knobs not in list(space.points(1e-5, load_target("sm_86")))


def test_every_space_has_an_example() -> None:
    for net in NETS:
        for plan, _ in launches(net):
            space = space_of(task_for(launch_workload(plan), GPU, 1))
            assert space.allows(space.example)
