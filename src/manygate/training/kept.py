"""Keeps what each task had at the best epoch of its own clock: the predictions of the test rows, or the weights.

A model that shares keeps the weights of one epoch for all tasks. A model of one task keeps its task's best epoch. A comparison of
the two is like with like only if each task of the sharing model is also judged at its own best epoch.

Memory: :class:`OwnPredictions` stores the logits of the test rows, R x N x T float32. :class:`OwnWeights` stores T copies of the
parameters instead and predicts at the end. :func:`own_store` takes the smaller one, so a replica needs at most
``4 T min(N, parameters)`` bytes. A prediction or a checkpoint needs them once more for a moment.

Time: after an evaluation, the test rows are predicted by the replicas of which a task improved, and by no others.

Shape suffixes: M members, R replicas, N test rows, T tasks.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from manygate.config import RunConfig
from manygate.model import MultiTaskModel
from manygate.model.logits import Sliced, predict
from manygate.model.replicas import keeps_copies, member_axis


class Rows(Sliced, Protocol):
    """Test rows."""

    def __len__(self) -> int:
        """Return their number."""


class OwnStore(Protocol):
    """Keeps what each task had at the best epoch of its own clock. Every member of the model has all tasks."""

    by_task: bool
    """True if the model to ship holds the weights of each task's own best epoch."""

    def keep(self, improved_MT: np.ndarray) -> None:
        """Keep the model's present state for the members and tasks that improved."""

    def logits(self) -> np.ndarray | None:
        """Return the test logits of each task at its own best epoch, logit_RNT. None if the model to ship predicts them."""

    def shipped(self) -> MultiTaskModel:
        """Return the model to ship. The trained model holds its best weights."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the content as named tensors, for a checkpoint."""

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore the content from tensors that :meth:`tensors` returned."""


class OwnPredictions:
    """Stores the test logits of each replica and task."""

    by_task = False

    def __init__(self, model: MultiTaskModel, test: Rows):
        self.model, self.test = model, test
        self.logit_RNT = np.zeros((model.replicas, len(test), len(model.problem.tasks)), dtype=np.float32)

    def keep(self, improved_MT: np.ndarray) -> None:
        if improved_MT.any():
            skipped = [not any(improved_T) for improved_T in improved_MT.tolist()]
            np.copyto(self.logit_RNT, predict(self.model, self.test, skipped), where=improved_MT[:, None])

    def logits(self) -> np.ndarray:
        return self.logit_RNT

    def shipped(self) -> MultiTaskModel:
        return self.model

    def tensors(self) -> dict[str, Tensor]:
        return {"logit": torch.from_numpy(self.logit_RNT)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        torch.from_numpy(self.logit_RNT).copy_(tensors["logit"])


class OwnWeights:
    """Stores a copy of all parameters for each task."""

    by_task = False

    def __init__(self, model: MultiTaskModel, test: Rows | None):
        self.model, self.test = model, test
        self.copies = [
            {name: value.detach().clone() for name, value in model.parameters.items()} for _ in range(len(model.problem.tasks))
        ]

    @torch.no_grad()
    def keep(self, improved_MT: np.ndarray) -> None:
        for copies, improved_M in zip(self.copies, improved_MT.T, strict=True):
            copy_members(self.model.parameters, copies, np.flatnonzero(improved_M).tolist())

    @torch.no_grad()
    def logits(self) -> np.ndarray | None:
        assert self.test is not None
        parameters, logit_RNt = self.model.parameters, []
        before = {name: value.detach().clone() for name, value in parameters.items()}
        for t, copies in enumerate(self.copies):
            self._load(copies)
            logit_RNt.append(predict(self.model, self.test)[..., t])
        self._load(before)
        return np.stack(logit_RNt, axis=-1)

    def shipped(self) -> MultiTaskModel:
        return self.model

    def _load(self, values: dict[str, Tensor]) -> None:
        for name, value in self.model.parameters.items():
            value.copy_(values[name])

    def tensors(self) -> dict[str, Tensor]:
        return {f"{t}|{name}": value for t, copies in enumerate(self.copies) for name, value in copies.items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        for t, copies in enumerate(self.copies):
            for name, value in copies.items():
                value.copy_(tensors[f"{t}|{name}"])


class ShippedWeights(OwnWeights):
    """Stores a copy of all parameters for each task, and ships all of them: task t is read from copy t."""

    by_task = True

    def __init__(self, model: MultiTaskModel):
        super().__init__(model, None)

    def logits(self) -> None:
        return None

    @torch.no_grad()
    def shipped(self) -> MultiTaskModel:
        model = self.model
        whole = MultiTaskModel(model.problem, model.config, model.device, False, by_task=True)
        for name, value in whole.parameters.items():
            axis = member_axis(name)
            value.copy_(torch.stack([copies[name] for copies in self.copies], dim=axis + 1).flatten(axis, axis + 1))
        return whole


def copy_members(source: dict[str, Tensor], target: dict[str, Tensor], members: list[int]) -> None:
    """Copy the parameters of some members."""
    for name, value in source.items():
        axis = member_axis(name)
        for m in members:
            target[name].select(axis, m).copy_(value.select(axis, m))


def has_own_clocks(config: RunConfig, model: MultiTaskModel) -> bool:
    """Return whether the tasks of a model need clocks of their own, beside that of the kept weights.

    A model of one task has one clock. With ``keep=last`` there is no best epoch.
    """
    return config.keep != "last" and len(model.members[0].tasks) > 1


def own_store(config: RunConfig, model: MultiTaskModel, test: Rows | None) -> OwnStore | None:
    """Return the store that needs less memory, or that of the weights if these are to be kept.

    Return None if the tasks of the model need no clocks of their own. ``test`` is None in a run that compares nothing.
    """
    if keeps_copies(config, model.problem):
        return ShippedWeights(model)
    if test is None or not has_own_clocks(config, model):
        return None
    return OwnPredictions(model, test) if len(test) <= model.parameter_count() else OwnWeights(model, test)
