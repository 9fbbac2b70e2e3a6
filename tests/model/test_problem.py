"""Tests of a problem: It holds inputs, tasks and scales, and returns labels in their unit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from manygate.data.labels import LabelScale
from manygate.data.rows import Input, Rows
from manygate.model.problem import Problem, fourth_root
from manygate.schema import Task


def test_a_problem_of_an_encoder_is_its_schema_s(encoded, settings):
    log, config = encoded(), settings(dim=3)
    problem = Problem.of(log.encoder, config)
    assert problem.tasks == log.schema.tasks
    assert problem.task_names == ("click", "like", "watch")
    assert problem.inputs == log.encoder.inputs(3)
    assert problem.labels is log.encoder.labels


def test_widths_follow_from_the_number_of_ids_unless_the_schema_gives_one(
    encoded, log_table, log_schema, repeating_ages, settings
):  # fmt: skip
    schema = log_schema()
    features = [f.model_copy(update={"dim": 5}) if f.name == "user" else f for f in schema.features]
    log = encoded(repeating_ages(log_table(300)), schema.model_copy(update={"features": tuple(features)}), settings(number_ids=5))
    assert log.encoder.number_ids
    inputs = Problem.of(log.encoder, settings(dim=3, dim_rule="fourth_root")).inputs
    given = {feature.name: feature.dim for feature in features if feature.dim}
    assert given["user"] == 5
    for one, plain in zip(inputs, log.encoder.inputs(3), strict=True):
        expected = 0 if one.kind == "dense" else given.get(one.name) or fourth_root(one.rows - 2)
        assert one == replace(plain, dim=expected)


def test_the_nearest_power_of_two_of_the_fourth_root():
    for ids in [*range(1, 3000), *(3**k for k in range(8, 40))]:
        exact = math.log2(ids) / 4
        assert fourth_root(ids) in (4, 64) or abs(math.log2(fourth_root(ids)) - exact) <= 0.5
    assert (fourth_root(0), fourth_root(1), fourth_root(2**14 - 1), fourth_root(2**14 + 1), fourth_root(2**40)) == (4, 4, 8, 16, 64)


def test_targets_follow_from_the_tasks():
    tasks = (Task(name="buy", after="click"), Task(name="click"), Task(name="stay", kind="regression"))
    targets = Problem.unscaled((), tasks).targets
    assert targets.steps == ((0, 1),)
    assert targets.binary == (True, True, False)
    assert targets.levels == (None, None, None)


def test_labels_come_back_in_their_unit_with_their_weights():
    """A label of 1.5 on a scale with mean 10 and standard deviation 4 is 16 in the unit of the data."""
    problem = Problem(
        (), (Task(name="click"), Task(name="stay", kind="regression")), {"click": LabelScale(), "stay": LabelScale(10, 4)}
    )
    none = np.zeros((2, 0))
    label_NT, weight_NT = np.array([[1, 1.5], [0, -1]], np.float32), np.array([[1, 0.5], [2, 0]], np.float32)
    rows = Rows(none.astype(np.int32), none.astype(np.float32), [], label_NT, weight_NT)
    label_N, weight_N = problem.labelled(rows, 1)
    assert (label_N.tolist(), weight_N.tolist()) == ([16.0, 6.0], [0.5, 0.0])
    assert (label_N.dtype, weight_N.dtype) == (np.float64, np.float64)
    assert problem.labelled(rows, 0)[0].tolist() == [1.0, 0.0]


def test_binary_problems_have_named_tasks():
    problem = Problem.binary([Input("x", "dense", False, units=2)], tasks=3)
    assert problem.task_names == ("y1", "y2", "y3")
    assert all(task.kind == "binary" for task in problem.tasks)
