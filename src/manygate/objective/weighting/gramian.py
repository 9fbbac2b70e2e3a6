"""What the methods that balance gradients share: they read the tasks' Gramian at the shared representation alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from manygate.errors import InputError
from manygate.objective.weighting.base import Given, Seen, Weighting

INSTALL = "pip install 'manygate[balance]'"
LARGEST = 100.0
"""Bound of a weight: what balances a vanishing gradient there would be too much for the task's own tower."""


class GramianWeighting(Weighting):
    """Weights from the inner products of the tasks' gradients, of one member after the other or of all at once.

    A method sees the tasks of which the batch has rows, whose weight is not 0 and whose gradient is not 0: where there is one
    alone, it keeps its fixed weight. It sees their Gramian scaled to a mean diagonal of 1, and its result is scaled so that
    orthogonal gradients of equal length get 1 each: there it is ``fixed``, and a learning rate keeps its meaning. A weight is held
    to 100, and is 1 where a solver finds none.
    """

    reads_gradients = True

    equalises: ClassVar[bool] = False
    """False where the losses' scales matter: the method then sees the losses times their fixed weights. True for methods that
    undo the scales, where fixed weights would be undone too, or turned round: there they multiply the result."""

    def __init__(self, given: Given):
        super().__init__(given)
        self.state = {"factor": torch.ones_like(given.weight_MT)}

    def weigh(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        if seen.gramian_MTT is None:
            return self.given.weight_MT * self.state["factor"]
        fixed_MT = self.given.weight_MT.cpu().numpy().astype(np.float64)
        gramian_MTT = seen.gramian_MTT.cpu().numpy().astype(np.float64)
        if not self.equalises:
            gramian_MTT *= fixed_MT[:, :, None] * fixed_MT[:, None, :]
        usable_M = seen.active_M.cpu().numpy() & np.isfinite(gramian_MTT).all(axis=(1, 2))
        length_MT = np.diagonal(gramian_MTT, axis1=1, axis2=2)
        chosen_MT = seen.present_MT.cpu().numpy() & (fixed_MT > 0) & (length_MT > 0) & usable_M[:, None]
        factor_MT = np.ones_like(fixed_MT)
        for chosen_T in np.unique(chosen_MT, axis=0) if len(chosen_MT) > 1 else chosen_MT:
            if chosen_T.sum() > 1:
                members, tasks = np.flatnonzero((chosen_MT == chosen_T).all(axis=1)), np.flatnonzero(chosen_T)
                part_mTT = gramian_MTT[np.ix_(members, tasks, tasks)]
                part_mTT /= np.trace(part_mTT, axis1=1, axis2=2)[:, None, None] / len(tasks)
                found_mT = self.solve(part_mTT, members, tasks, seen.step)
                factor_MT[np.ix_(members, tasks)] = np.where(np.isfinite(found_mT), found_mT, 1.0).clip(-LARGEST, LARGEST)
        self.state["factor"].copy_(torch.from_numpy(factor_MT))
        return self.given.weight_MT * self.state["factor"]

    @abstractmethod
    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        """Weights (m, T) of some members, from float64 Gramians of the same tasks with a mean diagonal of 1."""


def torchjd(name: str, **settings: Any) -> Any:
    """An object of TorchJD's, which is imported when first needed, and some of its solvers when they are."""
    try:
        import torchjd.aggregation

        return getattr(torchjd.aggregation, name)(**settings)
    except ImportError as error:
        cause = str(error).partition(". Install")[0]
        raise InputError(f"this weighting comes from TorchJD, which is not installed whole ({cause}). Run: {INSTALL}") from None


def each(method: Any, gramian_mTT: np.ndarray) -> np.ndarray:
    """A method of TorchJD's, which knows one Gramian, on several."""
    return np.stack([method(gramian_TT).numpy() for gramian_TT in torch.from_numpy(gramian_mTT)])
