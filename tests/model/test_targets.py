"""Tests of targets: the order of a funnel, and the towers and transfers that each method needs."""

from __future__ import annotations

import pytest

from manygate.data.labels import LabelScale
from manygate.model.targets import Targets
from manygate.schema import Task

TASKS = (
    Task(name="pay", after="cart"),
    Task(name="stay", kind="regression", after="click"),
    Task(name="click"),
    Task(name="cart", after="click"),
)


def test_steps_come_in_the_order_of_the_funnel():
    targets = Targets.of(TASKS)
    assert set(targets.steps) == {(1, 2), (3, 2), (0, 3)}
    assert targets.steps.index((3, 2)) < targets.steps.index((0, 3)), "click before cart before pay"
    assert targets.binary == (True, False, True, True)
    assert targets.levels == (None,) * 4


def test_levels_come_from_the_scales_by_name():
    scales = {task.name: LabelScale() for task in TASKS}
    assert Targets.of(TASKS, scales).levels == (None,) * 4
    with pytest.raises(KeyError):
        Targets.of(TASKS, {"pay": LabelScale()})


def test_a_model_for_each_task_has_no_funnel():
    targets = Targets.of(TASKS)
    assert targets.alone() == Targets((), targets.binary, targets.levels)


@pytest.mark.parametrize(
    ("funnel", "heads", "transfers"),
    [("escm2_dr", True, False), ("aitm", False, True), ("esmm", False, False), ("none", False, False)],
)
def test_towers_and_transfers_that_a_funnel_needs(funnel: str, heads: bool, transfers: bool):
    targets = Targets.of(TASKS)
    assert targets.heads(funnel) == (tuple(t for t, _ in targets.steps) if heads else ())
    assert targets.transfers(funnel) == (targets.steps if transfers else ())
