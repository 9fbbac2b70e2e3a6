"""Turns logits into probabilities and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from manygate.metrics.sigmoid import sigmoid

if TYPE_CHECKING:  # a server has no torch, which the room of the model needs
    from manygate.model.problem import Problem


def outputs(logit_RNT: np.ndarray, problem: Problem) -> np.ndarray:
    """Probabilities of binary tasks and values, in the label's unit, of regression tasks; float64.

    Of a task that comes after another they are those given that it has happened.
    """
    output_RNT = logit_RNT.astype(np.float64)
    for t, task in enumerate(problem.tasks):
        of = sigmoid if task.kind == "binary" else problem.labels[task.name].decode
        output_RNT[..., t] = of(output_RNT[..., t])
    return output_RNT


def joint_outputs(output_RNT: np.ndarray, steps: Sequence[tuple[int, int]]) -> np.ndarray:
    """What is expected on any row: each step's output times the probability of the steps before it.

    >>> joint_outputs(np.array([[[0.5, 0.2]]]), [(1, 0)]).tolist()
    [[[0.5, 0.1]]]
    """
    joint_RNT = output_RNT.copy()
    for t, after in steps:
        joint_RNT[..., t] *= joint_RNT[..., after]
    return joint_RNT
