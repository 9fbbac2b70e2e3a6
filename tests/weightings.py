"""Builders for the tests of weightings: a weighting, the context of a step, losses, and pairs of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from manygate.config import RunConfig
from manygate.objective.weighting import StepContext, Weighting, WeightingSetup, build_weighting

MEMBERS = 2


def make(name: str, weight: Any = (1.0, 1.0), decay: Any = (1.0, 1.0), binary: Any = (True, False), **settings: Any) -> Weighting:
    tasks = len(weight)
    shaped = [torch.tensor(value).expand(MEMBERS, tasks) for value in (weight, decay, binary)]
    keys = [(seed, *range(tasks)) for seed in range(MEMBERS)]
    return build_weighting(
        WeightingSetup(shaped[0].float(), shaped[1].float(), shaped[2], keys, RunConfig(weighting=name, **settings))
    )


def step_context(tasks: int = 2, step: int = 0, epoch: int = 0, present: Any = True, gradients: Any = None) -> StepContext:
    """Build the context of a step. ``gradients`` holds one row for each task. All members have the same gradients."""
    gramian = None
    if gradients is not None:
        rows = np.asarray(gradients, dtype=np.float64)
        gramian = torch.tensor(rows @ rows.T).float().expand(MEMBERS, tasks, tasks)
    present_MT = torch.as_tensor(present).expand(MEMBERS, tasks)
    return StepContext(step, epoch, present_MT, torch.ones(MEMBERS, dtype=torch.bool), gramian)


def losses(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).repeat(MEMBERS, 1)


def weights_of(name: str, gradients: Any, **settings: Any) -> np.ndarray:
    tasks = len(gradients)
    weighting = make(name, weight=(1.0,) * tasks, decay=(1.0,) * tasks, binary=(True,) * tasks, **settings)
    weights = weighting.weigh(losses(*[1.0] * tasks), step_context(tasks=tasks, gradients=gradients))
    assert torch.equal(weights[0], weights[1]) or tasks > 2
    return weights[0].numpy()


pairs = st.tuples(*[st.floats(-3, 3, width=32)] * 6).map(lambda v: np.array(v, dtype=np.float64).reshape(2, 3))
pairs = pairs.filter(lambda g: (np.linalg.norm(g, axis=1) > 0.3).all())


CONFLICTS = np.array([[1.0, 0.0, 0.0], [-0.8, 0.5, 0.1], [-0.5, -0.9, 0.3]])
"""Gradients of three tasks. Each pair of them conflicts."""


def drawn_weights(name: str, steps: int = 12) -> list[torch.Tensor]:
    """Return the weights that a new weighting gives to ``CONFLICTS`` in each of ``steps`` steps."""
    weighting = make(name, weight=(1.0,) * 3, decay=(1.0,) * 3, binary=(True,) * 3)
    return [weighting.weigh(losses(1, 1, 1), step_context(tasks=3, step=step, gradients=CONFLICTS)) for step in range(steps)]
