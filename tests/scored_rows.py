"""Labelled rows of two binary tasks and a regression, and logits of three replicas with a known skill."""

from __future__ import annotations

import numpy as np

from manygate.data.labels import LabelScale
from manygate.data.rows import Rows
from manygate.model.problem import Problem
from manygate.schema import Task

TASKS = (Task(name="click"), Task(name="buy", where="click == 1"), Task(name="watch", kind="regression"))
SCALES = {"click": LabelScale(), "buy": LabelScale(), "watch": LabelScale(10.0, 4.0)}
PROBLEM = Problem((), TASKS, SCALES)
UNSCALED = Problem.unscaled((), TASKS)
R, N = 3, 400


def rows(seed: int = 0, groups: bool = True) -> Rows:
    random = np.random.default_rng(seed)
    label = np.stack([random.integers(0, 2, N), random.integers(0, 2, N), random.normal(size=N)], axis=1).astype(np.float32)
    weight = random.choice([0.5, 1.0, 2.0], (N, 3)).astype(np.float32)
    weight[label[:, 0] == 0, 1] = 0
    group = random.integers(0, 40, N).astype(np.uint64) if groups else None
    return Rows(np.zeros((N, 0), np.int32), np.zeros((N, 0), np.float32), [], label, weight, group)


def logits(of: Rows, skill: float = 1.0, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    signal = of.label_BT - np.array([0.5, 0.5, 0.0])
    return (skill * signal + random.normal(size=(R, N, 3))).astype(np.float32)
