"""Tests of a problem: It holds inputs, tasks and scales, and returns labels in their unit."""

from __future__ import annotations

import numpy as np

from manygate.data.labels import LabelScale
from manygate.data.rows import Input, Rows
from manygate.model.problem import Problem
from manygate.schema import Task


def test_a_problem_of_an_encoder_is_its_schema_s(encoded, settings):
    log, config = encoded(), settings(dim=3)
    problem = Problem.of(log.encoder, config)
    assert problem.tasks == log.schema.tasks
    assert problem.task_names == ("click", "like", "watch")
    assert problem.inputs == log.encoder.inputs(3)
    assert problem.labels is log.encoder.labels


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
