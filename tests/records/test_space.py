"""Workloads and their spaces: every zoo convolution has algorithms to choose from, and no two points are one kernel."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nincc.kernels.rule import pick_conv
from nincc.kernels.spec import balanced
from nincc.kernels.winograd_spec import Winograd
from nincc.records.space import Space, algorithm
from nincc.records.workload import conv_workload, gemm_pool_workload, gemm_workload, parse_task, task_for
from nincc.target import cpu_names, cpu_target
from tests.records.lines import CONV, CONV_TASK, DIRECT, F4, GEMM_TASK, X86

POINTS = 200


@pytest.mark.parametrize("workload", [
    conv_workload(CONV), conv_workload(replace(CONV, pool=None)), gemm_workload(36, 1024, 10),
    gemm_pool_workload(2, 64, 192, 10),
])  # fmt: skip
def test_a_task_survives_json(workload) -> None:
    task = task_for(workload, X86, 3)
    assert parse_task(task.name, json.loads(json.dumps(task.args))) == task


@pytest.mark.parametrize(("name", "args", "words"), [
    ("conv2d_nchw.x86", [], "not one of nincc's"),
    ("nincc.gemm/0", [1, 2, 3, 8, 6, 4], "kernel version 0"),
    ("nincc.gemm/1", [1, 2, 8, 6, 4], "arguments"),
])  # fmt: skip
def test_other_tasks_are_refused(name, args, words) -> None:
    with pytest.raises(ValueError, match=words):
        parse_task(name, args)


def test_the_geometry_comes_back() -> None:
    assert replace(CONV_TASK.workload.conv(8), mr=CONV.mr, tasks=CONV.tasks) == CONV
    assert CONV_TASK.workload.macs == 16 * 16 * 25 * 96 * 192
    assert GEMM_TASK.workload.macs == 1024 * 192 * 160


def test_a_convolution_has_two_algorithms_and_200_points() -> None:
    points = list(Space(CONV_TASK).points(1e-5))
    assert len(points) >= POINTS
    assert {algorithm(knobs, CONV_TASK) for knobs in points} == {"direct", "F(2, 5)", "F(3, 5)", "F(4, 5)"}


def test_the_budget_takes_algorithms_away() -> None:
    assert {knobs["m"] for knobs in Space(CONV_TASK).points(1e-7)} == {0}
    assert all(Space(CONV_TASK).error(knobs) <= 4e-6 for knobs in Space(CONV_TASK).points(4e-6))


def test_points_are_distinct_and_allowed() -> None:
    for task in (CONV_TASK, GEMM_TASK):
        space = Space(task)
        points = [tuple(sorted(knobs.items())) for knobs in space.points()]
        assert len(set(points)) == len(points)
        assert all(space.allows(dict(point)) and space.canonical(dict(point)) == dict(point) for point in points)


@pytest.mark.parametrize("change", [{"mr": 0}, {"mr": 7}, {"m": 7}, {"tile_block": 5}, {"order": "mn"}, {"more": 1}])
def test_what_is_no_kernel_is_not_allowed(change) -> None:
    assert Space(CONV_TASK).allows(F4)
    assert not Space(CONV_TASK).allows({**F4, **change})


def test_a_direct_kernel_has_no_blocking() -> None:
    assert Space(CONV_TASK).plan(DIRECT) is None
    plan = Space(CONV_TASK).plan(F4)
    assert isinstance(plan, Winograd) and (plan.m, plan.r, plan.tile_block, plan.conv.mr) == (4, 5, 16, 6)


@pytest.mark.parametrize("name", cpu_names())
@pytest.mark.parametrize("conv", [
    CONV,
    replace(CONV, batch=8, pool=None, size=(16, 16)),
    replace(CONV, layout="NCHW", channels=3, pool=None, size=(224, 224), kernel=(11, 11), strides=(4, 4), units=96),
])  # fmt: skip
def test_the_rules_choice_is_a_point(name, conv) -> None:
    target = cpu_target(name)
    conv = replace(conv, lanes=target.lanes)
    space = Space(task_for(conv_workload(conv), target, 4))
    choice = pick_conv(conv, target, threads=4)
    known = {key: value for key, value in choice.knobs.items() if key in space.candidates}
    knobs = space.canonical(known)
    assert space.allows(knobs)
    plan = space.plan(knobs)
    assert (plan is None) == (choice.plan is None)
    if plan is not None and choice.plan is not None:
        mr = balanced(plan.tile_block, choice.plan.conv.mr)[2]
        assert plan == replace(choice.plan, conv=replace(choice.plan.conv, mr=mr))


def test_imbalance_is_that_of_the_busiest_thread() -> None:
    space = Space(CONV_TASK)
    one_block = {**F4, "order": "tile"}
    assert space.imbalance(one_block, 1) == 1 and space.imbalance(one_block, 4) == 4
    assert space.imbalance(F4, 4) == 1
