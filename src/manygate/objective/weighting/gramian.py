"""The base class of weightings that balance gradients. They use only the Gramian of the tasks' gradients at the shared
representation."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from manygate.errors import InputError
from manygate.objective.weighting.base import StepContext, Weighting, WeightingSetup

INSTALL = "pip install 'manygate[balance]'"
LARGEST = 100.0
"""The largest absolute weight. A larger weight would balance a vanishing shared gradient, but would be too much for the task's
tower."""


class GramianWeighting(Weighting):
    """Computes weights from the inner products of the tasks' gradients (the Gramian).

    :meth:`solve` gets the tasks that have rows in the batch, a weight that is not 0 and a gradient that is not 0. If there is only
    one such task, it keeps its fixed weight. The Gramian is scaled to a mean diagonal of 1. The result of :meth:`solve` is scaled
    so that orthogonal gradients of equal length get a weight of 1 each. For them the method equals ``fixed``, and a learning rate
    means the same. A weight is limited to -100 to 100. It is 1 where the solver does not give a finite number.
    """

    needs_gradients = True
    scales_shared_alone = True

    equalises: ClassVar[bool] = False
    """True for methods that undo the scales of the losses. They would undo or invert the fixed weights too, so the fixed weights
    multiply their result. False for other methods: They get the gradients of the losses times their fixed weights."""

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.state = {"factor": torch.ones_like(setup.weight_MT)}

    def weigh(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        if context.gramian_MTT is None:
            return self.setup.weight_MT * self.state["factor"]
        fixed_MT = self.setup.weight_MT.cpu().numpy().astype(np.float64)
        gramian_MTT = context.gramian_MTT.cpu().numpy().astype(np.float64)
        if not self.equalises:
            gramian_MTT *= fixed_MT[:, :, None] * fixed_MT[:, None, :]
        usable_M = context.active_M.cpu().numpy() & np.isfinite(gramian_MTT).all(axis=(1, 2))
        length_MT = np.diagonal(gramian_MTT, axis1=1, axis2=2)
        selected_MT = context.present_MT.cpu().numpy() & (fixed_MT > 0) & (length_MT > 0) & usable_M[:, None]
        factor_MT = np.ones_like(fixed_MT)
        for selected_T in np.unique(selected_MT, axis=0) if len(selected_MT) > 1 else selected_MT:
            if selected_T.sum() > 1:
                members, tasks = np.flatnonzero((selected_MT == selected_T).all(axis=1)), np.flatnonzero(selected_T)
                part_mTT = gramian_MTT[np.ix_(members, tasks, tasks)]
                part_mTT /= np.trace(part_mTT, axis1=1, axis2=2)[:, None, None] / len(tasks)
                solved_mT = self.solve(part_mTT, members, tasks, context.step)
                factor_MT[np.ix_(members, tasks)] = np.where(np.isfinite(solved_mT), solved_mT, 1.0).clip(-LARGEST, LARGEST)
        self.state["factor"].copy_(torch.from_numpy(factor_MT))
        return self.setup.weight_MT * self.state["factor"]

    def restore(self, tensors: dict[str, Tensor]) -> None:
        super().restore(tensors)
        self.weight_MT = self.setup.weight_MT * self.state["factor"]

    @abstractmethod
    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        """Return the weights (m, T) of some members.

        ``gramian_mTT`` holds float64 Gramians with a mean diagonal of 1. ``members`` and ``tasks`` are the indices of its first
        axis and of its last two axes in the run. ``step`` is the step of the run.
        """


def torchjd(name: str, **settings: Any) -> Any:
    """Return an object of a TorchJD class. TorchJD and its solvers are imported when they are first needed."""
    try:
        import torchjd.aggregation

        return getattr(torchjd.aggregation, name)(**settings)
    except ImportError as error:
        cause = str(error).partition(". Install")[0]
        raise InputError(f"this weighting needs TorchJD with all its solvers ({cause}). Run: {INSTALL}") from None


def solve_each(method: Any, gramian_mTT: np.ndarray) -> np.ndarray:
    """Return the weights of several Gramians, (m, T). ``method`` is a TorchJD method, which takes one Gramian."""
    return np.stack([method(gramian_TT).numpy() for gramian_TT in torch.from_numpy(gramian_mTT)])
