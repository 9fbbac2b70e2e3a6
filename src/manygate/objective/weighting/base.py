"""The base class of weightings. A weighting combines the tasks' losses of a batch into the objective of each member."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from manygate.config import TrainConfig
from manygate.errors import InputError


@dataclass(frozen=True)
class WeightingSetup:
    """Holds the constants of a run that a weighting may use."""

    weight_MT: Tensor
    """The fixed weight of each task: ``weight`` of the schema times ``replica_weights``."""
    decay_MT: Tensor
    """The ``decay`` of each task in the schema."""
    binary_MT: Tensor
    """True where the task's loss is a cross-entropy."""
    keys: Sequence[tuple[int, ...]]
    """A key for each member, for its own stream of random numbers (:func:`manygate.randomness.stream_seed`)."""
    config: TrainConfig
    """The settings of the run."""


@dataclass(frozen=True)
class StepContext:
    """Holds the values of one training step that a weighting may use beside the losses."""

    step: int
    """The number of the step in the run, from 0."""
    epoch: int
    """The number of the epoch, from 0."""
    present_MT: Tensor
    """True where the batch has rows of the task and the task's fixed weight is not 0."""
    active_M: Tensor
    """True where the member still trains."""
    gramian_MTT: Tensor | None = None
    """Inner products of the tasks' gradients at the shared representation. None unless
    :meth:`Weighting.needs_gradients_at` returned true for this step."""


_RENAMED = {
    "look": "after_update",
    "looks_again": "needs_losses_after_update",
    "reads": "needs_gradients_at",
    "reads_gradients": "needs_gradients",
    "forget": "reset_members",
}


class Weighting(ABC):
    """Combines loss_MT into objective_M, for all members at once. A class is abstract or final.

    A weighting of your own is a class with one method, :meth:`weigh`:

    >>> class HalfWeights(Weighting):
    ...     def weigh(self, loss_MT, context):
    ...         return self.setup.weight_MT / 2
    >>> ones = torch.ones(1, 2)
    >>> weighting = HalfWeights(WeightingSetup(ones, ones, ones > 0, [(0, 0, 1)], TrainConfig()))
    >>> weighting.objective(torch.tensor([[2.0, 4.0]]), StepContext(0, 0, ones > 0, ones[:, 0] > 0))
    tensor([3.])

    ``state`` and ``parameters`` hold named tensors whose first axis is the members' axis. Checkpoints contain both. The run's
    optimizer trains ``parameters``, without weight decay. ``weight_MT`` is the effective weight of each loss in the last step.
    """

    needs_gradients: ClassVar[bool] = False
    """True if :meth:`weigh` needs the Gramian of the tasks' gradients. Each task then takes one more backward pass, from its loss
    to the shared representation."""

    scales_shared_alone: ClassVar[bool] = False
    """True if the weights of :meth:`weigh` scale the tasks' gradients at the shared representation alone, and so in all that lies
    below it. Above it each task has units of its own (towers, gates, experts of one task), which learn with the fixed weights. It
    needs :attr:`needs_gradients`. In the steps between two readings the weights are ``weight_MT`` of the last reading.

    False for methods that weight the losses: The weights then act on every parameter."""

    needs_losses_after_update: ClassVar[bool] = False
    """True if :meth:`after_update` is to be called. It takes one more forward pass for each step."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, new_name in _RENAMED.items():
            if name in vars(cls):
                raise InputError(f"weighting {cls.__name__!r}: {name} is now called {new_name}. Rename it in the class.")

    def __init__(self, setup: WeightingSetup):
        self.setup, self.weight_MT = setup, setup.weight_MT
        self.state: dict[str, Tensor] = {}
        self.parameters: dict[str, Tensor] = {}

    @abstractmethod
    def weigh(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        """Return the weight of each loss, weight_MT, without a gradient.

        The trainer calls it once for each step. ``loss_MT`` has no gradient. The loss of a task without rows in the batch is 0.
        """

    def needs_gradients_at(self, step: int) -> bool:
        """Return true if the weights of this step need the tasks' gradients.

        With ``balance_every`` K above 1, they are needed in every K-th step. The steps in between keep the last weights.
        """
        return self.needs_gradients and step % self.setup.config.balance_every == 0

    def objective(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        """Return objective_M, the sum of each member's losses times their weights, or times the fixed weights if
        :attr:`scales_shared_alone` is true."""
        self.weight_MT = self.weigh(loss_MT.detach(), context)
        return (loss_MT * (self.setup.weight_MT if self.scales_shared_alone else self.weight_MT)).sum(dim=1)

    def after_update(self, loss_MT: Tensor, context: StepContext) -> None:  # noqa: B027 - optional
        """Receive the losses of the same batch after the update. Called only if ``needs_losses_after_update`` is true."""

    def close_epoch(self, mean_MT: Tensor) -> None:  # noqa: B027 - optional
        """Receive the mean losses of the epoch. A task without a row in the epoch has NaN."""

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor that a resumed run needs, by name."""
        return {**self.state, **self.parameters}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Copy the values of ``tensors``, as :meth:`tensors` returned them, into this weighting."""
        for name, value in self.tensors().items():
            value.copy_(tensors[name])

    @torch.no_grad()
    def reset_members(self, members: Sequence[int]) -> None:
        """Set the learned parameters of members that diverged to zero."""
        for value in self.parameters.values():
            value[list(members)] = 0.0
