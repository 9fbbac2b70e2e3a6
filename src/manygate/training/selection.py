"""Selects the weights of each member by its clocks.

Shape suffixes: M members, R replicas, N test rows, T tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from manygate.config import RunConfig
from manygate.evaluation.monitor import Judged
from manygate.model import MultiTaskModel
from manygate.training.kept import OwnStore, copy_members
from manygate.training.state import State
from manygate.training.tables import IN_MODEL, Tables


@dataclass(frozen=True)
class Fitted:
    """The result of training."""

    model: MultiTaskModel
    """The model with the weights that are kept."""
    state: State
    own_logit_RNT: np.ndarray | None
    """The test logits of each task at the best epoch of its own clock. None if the model's own predictions are these."""


class Selection:
    """Keeps the best weights of each member and, with ``own``, what each of its tasks had at the best epoch of its own clock."""

    def __init__(self, model: MultiTaskModel, own: OwnStore | None, tables: Tables = IN_MODEL):
        self.model, self.own, self.tables = model, own, tables
        tables.keep(list(range(len(model.members))))
        self.best = {name: value.detach().clone() for name, value in model.parameters.items()}

    @property
    def by_task(self) -> bool:
        """True if the weights of each task's own best epoch are shipped."""
        return self.own is not None and self.own.by_task

    def update(self, state: State, epoch: float, judged: Judged, config: RunConfig) -> bool:
        """Update the clocks of all members after an evaluation. Return true if the weights of a member are now the best."""
        patience, members = config.patience * round(1 / config.evaluate_every), self.model.members
        improved_M = np.zeros(len(members), dtype=bool)
        own_MT = np.zeros((len(members), state.tasks), dtype=bool)
        for m, member in enumerate(members):
            score = float(judged.score_M[m])
            if config.keep == "last":
                improved_M[m] = state.keep_newest(m, epoch, score)
            else:
                own_T = judged.own_RT[member.replica, list(member.tasks)].tolist() if state.tasks else []
                improved_M[m], own_MT[m] = state.update(m, epoch, score, own_T, patience)
        self._keep(np.flatnonzero(improved_M).tolist())
        if self.own is not None:
            self.own.keep(own_MT)
        return bool(improved_M.any())

    @torch.no_grad()
    def _keep(self, members: list[int]) -> None:
        copy_members(self.model.parameters, self.best, members)
        self.tables.keep(members)

    @torch.no_grad()
    def load_best(self, members: list[int]) -> None:
        """Copy the best weights of some members into the model."""
        copy_members(self.best, self.model.parameters, members)
        self.tables.load_best(members)

    def fitted(self, state: State) -> Fitted:
        """Return the result of a run that has ended, with the best weights in the model."""
        return Fitted(self.model, state, None) if self.own is None else Fitted(self.own.shipped(), state, self.own.logits())

    def tensors(self) -> dict[str, Tensor]:
        """Return the kept weights and the own stores as named tensors, for a checkpoint."""
        own = self.own.tensors() if self.own is not None else {}
        return {f"best|{name}": value for name, value in self.best.items()} | {f"own|{name}": value for name, value in own.items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore the weights from tensors that :meth:`tensors` returned."""
        for name, value in self.best.items():
            value.copy_(tensors[f"best|{name}"])
        if self.own is not None:
            self.own.restore({name.removeprefix("own|"): value for name, value in tensors.items() if name.startswith("own|")})
