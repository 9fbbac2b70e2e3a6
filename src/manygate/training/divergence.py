"""The errors of members that diverged: their messages name the task, replica, epoch, batch and step.

Shape suffixes: M members, T tasks of a member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from manygate.config import RunConfig
from manygate.errors import InputError, setting
from manygate.model.replicas import Member
from manygate.training.state import State


class DivergedError(InputError):
    """The loss became NaN or infinite. The message names task, replica, step and batch."""


@dataclass(frozen=True)
class DivergenceErrors:
    """Builds the errors of one training run.

    >>> run = DivergenceErrors("mmoe", RunConfig(), (Member(replica=0, seed=0, tasks=(0,)),), ("click",), batches=9)
    >>> str(run.of_loss(torch.tensor([[float("inf")]]), torch.tensor([True]), State(1))).partition(". ")[0]
    "mmoe: the loss of task 'click' became inf in epoch 1, batch 1 of 9 (step 1), replica 0"
    """

    title: str
    """The title of the run; every message starts with it."""
    config: RunConfig
    members: Sequence[Member]
    task_names: Sequence[str]
    batches: int
    """The number of batches in an epoch."""
    folder: Path | None = None
    """The folder of the run, if it has one."""
    first_replica: int = 0
    """The number of the first replica of ``members`` in the whole run."""

    def replica(self, m: int) -> int:
        """Return the number of member m's replica in the whole run."""
        return self.first_replica + self.members[m].replica

    def of_loss(self, loss_MT: Tensor, active_M: Tensor, state: State) -> DivergedError:
        """Return the error of the first loss of an active member that is not finite.

        If all losses are finite, the penalty is not. Call it within a step, before ``state`` counts the step.
        """
        not_finite = torch.nonzero(~torch.isfinite(loss_MT.detach()) & active_M.unsqueeze(1))
        if not len(not_finite):
            return self._error("the penalty became NaN or infinite", 0, state, 1)
        m, t = int(not_finite[0][0]), int(not_finite[0][1])
        task = self.task_names[self.members[m].tasks[t]]
        return self._error(f"the loss of task {task!r} became {loss_MT[m, t].item():g}", m, state, 1)

    def of_logits(self, task: str, m: int, state: State) -> DivergedError:
        """Return the error of member m, whose validation logits of a task are not finite after an epoch."""
        return self._error(f"the validation logits of task {task!r} became NaN or infinite", m, state, 0)

    def _error(self, problem: str, m: int, state: State, uncounted: int) -> DivergedError:
        """``uncounted`` is 1 within a step, which ``state`` does not count yet, and 0 after it."""
        safe = f"The best weights, of {state.best_epochs()}, are safe" if state.epoch else "No epoch was finished yet"
        folder = f" in {self.folder / 'checkpoints'}" if self.folder and state.epoch else ""
        return DivergedError(
            f"{self.title}: {problem} in epoch {state.epoch + 1}, batch {state.batch + uncounted} of {self.batches} "
            f"(step {state.step + uncounted}), replica {self.replica(m)}. {safe}{folder}. "
            f"Try a smaller {setting('learning_rate')} (now {self.config.learning_rate:g}{self._rate_factor(m)}), "
            f"or {setting('clip_norm', 1)}."
        )

    def _rate_factor(self, m: int) -> str:
        """Describe the factor by which ``replica_rates`` multiplies member m's learning rate. Empty without that setting."""
        rates = self.config.replica_rates
        if not rates:
            return ""
        factor = rates[self.members[m].replica % len(rates)]
        return f", times {factor:g} by {setting('replica_rates')} for this replica"
