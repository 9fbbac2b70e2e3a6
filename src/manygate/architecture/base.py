"""The contract of a sharing scheme."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from manygate.config import ModelConfig


class Architecture(nn.Module, ABC):
    """A sharing scheme: x_BD -> h_BTH, written for one model and one batch.

    A class is abstract or final. Attributes every scheme sets: ``output_width`` (H).
    """

    one_model_per_task: ClassVar[bool] = False
    """True when the scheme is a model of its own for each task, embeddings included; it is then built with one task."""

    output_width: int

    @classmethod
    @abstractmethod
    def build(cls, inputs: int, tasks: int, config: ModelConfig) -> Self:
        """Make the scheme for D inputs and T tasks from a run's settings."""

    @abstractmethod
    def forward(self, x_BD: Tensor) -> Tensor:
        """x_BD -> h_BTH: what each task's tower reads."""

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        """Gate weights gate_BTE of each level; empty for a scheme without gates."""
        return ()

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters that more than one task trains."""

    def penalty(self) -> Tensor:
        """A term to add to the loss; zero for most schemes."""
        return torch.zeros(())
