"""The contract of a weighting: how a batch's losses, one a task, become what each member minimises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from manygate.config import TrainConfig


@dataclass(frozen=True)
class Given:
    """What a run's tasks and settings say.

    Fixed weights, decays and whether the loss is a cross-entropy, (M, T) each, and a stream's key for each member.
    """

    weight_MT: Tensor
    decay_MT: Tensor
    binary_MT: Tensor
    keys: Sequence[tuple[int, ...]]
    config: TrainConfig


@dataclass(frozen=True)
class Seen:
    """What a weighting may look at in one step, beside the losses.

    ``present_MT`` is true where the batch has rows of the task and its fixed weight is not 0, ``active_M`` where the member still
    trains. ``gramian_MTT`` holds
    the inner products of the tasks' gradients at the shared representation, where :meth:`Weighting.reads` asked for them.
    """

    step: int
    epoch: int
    present_MT: Tensor
    active_M: Tensor
    gramian_MTT: Tensor | None = None


class Weighting(ABC):
    """loss_MT -> objective_M, for all members at once; a class is abstract or final.

    ``state`` and ``parameters`` hold named tensors whose first axis is the members'; both go into checkpoints, and ``parameters``
    are trained by the run's own optimizer, without weight decay. ``weight_MT`` is the last step's effective weight of each loss.
    """

    reads_gradients: ClassVar[bool] = False
    """True when each task's gradient at the shared representation is needed: a pass from the losses to there for each task."""

    looks_again: ClassVar[bool] = False
    """True when :meth:`look` is to be given the same batch's losses after the update: one more forward pass."""

    def __init__(self, given: Given):
        self.given, self.weight_MT = given, given.weight_MT
        self.state: dict[str, Tensor] = {}
        self.parameters: dict[str, Tensor] = {}

    @abstractmethod
    def weigh(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        """Each loss's weight, weight_MT, without a gradient; called once a step. A task without rows has loss 0."""

    def reads(self, step: int) -> bool:
        """Whether this step's weights need the tasks' gradients; with ``balance_every`` above 1 they are kept in between."""
        return self.reads_gradients and step % self.given.config.balance_every == 0

    def objective(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        """objective_M, the sum of the weighted losses."""
        self.weight_MT = self.weigh(loss_MT.detach(), seen)
        return (loss_MT * self.weight_MT).sum(dim=1)

    def look(self, loss_MT: Tensor, seen: Seen) -> None:  # noqa: B027 - most do not
        """The same batch's losses after the update, where ``looks_again``."""

    def close_epoch(self, mean_MT: Tensor) -> None:  # noqa: B027 - most need not know
        """The epoch's mean losses; NaN for a task of which no row was seen."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs, by name."""
        return {**self.state, **self.parameters}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what :meth:`tensors` gave."""
        for name, value in self.tensors().items():
            value.copy_(tensors[name])

    @torch.no_grad()
    def forget(self, members: Sequence[int]) -> None:
        """Take what some members learnt back to zero, since they diverged."""
        for value in self.parameters.values():
            value[list(members)] = 0.0
