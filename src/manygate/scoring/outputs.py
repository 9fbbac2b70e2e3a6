"""Turns logits into probabilities and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from manygate.metrics.sigmoid import sigmoid

if TYPE_CHECKING:  # a server has no torch, and manygate.model imports torch
    from manygate.model.problem import Problem


def outputs(logit_RNT: np.ndarray, problem: Problem) -> np.ndarray:
    """Return probabilities of binary tasks, and values of regression tasks in the label's unit; (R, N, T) float64.

    The output of a task after another is conditional on the task before.
    """
    return np.stack([task_output(logit_RNT, problem, t) for t in range(len(problem.tasks))], axis=-1)


def task_output(logit_RNT: np.ndarray, problem: Problem, t: int) -> np.ndarray:
    """Return the output of one task as in :func:`outputs`, (R, N) float64. The outputs of all tasks take far more memory."""
    task = problem.tasks[t]
    transform = sigmoid if task.kind == "binary" else problem.labels[task.name].decode
    return np.asarray(transform(logit_RNT[..., t].astype(np.float64)))


def joint_outputs(output_RNT: np.ndarray, steps: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return the expectation on any row: each step's output times the joint probability of the steps before it.

    >>> joint_outputs(np.array([[[0.5, 0.2]]]), [(1, 0)]).tolist()
    [[[0.5, 0.1]]]
    """
    joint_RNT = output_RNT.copy()
    for t, after in steps:
        joint_RNT[..., t] *= joint_RNT[..., after]
    return joint_RNT
