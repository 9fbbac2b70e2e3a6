"""The contract of a sharing scheme."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from manygate.config import ModelConfig
from manygate.layers.gate import Gates, GateSettings
from manygate.layers.mixture import MixtureSettings
from manygate.layers.tower import Towers


@dataclass(frozen=True)
class Inputs:
    """What a scheme reads: the width D of x_BD, and the columns that gates read where they read only some."""

    width: int
    gate_columns: tuple[int, ...] = ()


class Architecture(nn.Module, ABC):
    """A sharing scheme: x_BD -> h_BTH, written for one model and one batch.

    A class is abstract or final. Attributes every scheme sets: ``output_width`` (H).
    """

    one_model_per_task: ClassVar[bool] = False
    """True when the scheme is a model of its own for each task, embeddings included. ``build`` gets the number of all tasks, and
    ``forward`` must then return one representation, (B, 1, H)."""

    own_embeddings: ClassVar[bool] = False
    """True when each task has embeddings of its own beside the shared ones: x_BD is then T + 1 inputs of width D / (T + 1), one
    after the other, the shared one last."""

    widths: ClassVar[str] = "expert_hidden"
    """The setting that matching budgets changes: ``expert_hidden`` or ``bottom_hidden``."""

    undecayed: ClassVar[tuple[str, ...]] = ()
    """Parameters that weight decay leaves alone (:mod:`manygate.layers.decay`); those of layers inside declare it themselves."""

    output_width: int

    @classmethod
    @abstractmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        """Make the scheme for T tasks from a run's settings. Raises :class:`InputError` for settings that do not fit."""

    @classmethod
    def width_step(cls, config: ModelConfig) -> int:
        """What hidden widths must be multiples of."""
        return 1

    @abstractmethod
    def forward(self, x_BD: Tensor) -> Tensor:
        """x_BD -> h_BTH: what each task's tower reads; h_B1H where all read the same."""

    def gates(self, x_BD: Tensor) -> tuple[Tensor, ...]:
        """Gate weights gate_BTE of each level; empty for a scheme without gates."""
        return ()

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters that more than one task trains."""

    def shared_layer(self) -> nn.Module | None:
        """The last module whose output (B, ...), alone or first of a tuple, every task reads: the shared representation.

        None where the tasks share parameters or embeddings but no units; the input x is then what they share.
        """
        return None

    def shared_units(self) -> tuple[int, ...] | None:
        """Of a shared layer with E networks side by side, (B, E, H), those that more than one task trains; None for all."""
        return None

    def shared_above(self) -> list[nn.Parameter]:
        """Parameters above the shared layer that more than one task trains; without a shared layer, those above x.

        Weightings that balance gradients scale the gradients of these, too. Whatever else lies above the shared layer counts as a
        task's own. A parameter of the list is not used below the shared layer as well. By default there is none above a shared
        layer, and all of :meth:`shared_parameters` lie above x.
        """
        return [] if self.shared_layer() is not None else self.shared_parameters()

    def penalty(self, towers: Towers) -> Tensor:
        """A term to add to the loss, of the last forward pass: by default what the gates ask for, and zero without any."""
        total = next(towers.parameters()).new_zeros(())
        for gates in self.modules():
            if isinstance(gates, Gates) and gates.penalty is not None:
                total, gates.penalty = total + gates.penalty, None
        return total

    def learning_rates(self) -> dict[str, float]:
        """Multipliers of the learning rate, by parameter name; 1 for those not named."""
        return {}


def of_several(reads: Iterable[Iterable[int]]) -> tuple[int, ...]:
    """What more than one task reads.

    >>> of_several([(0, 2, 3), (1, 2, 3)])
    (2, 3)
    """
    counts = Counter(unit for units_of_task in reads for unit in set(units_of_task))
    return tuple(sorted(unit for unit, count in counts.items() if count > 1))


def mixture_settings(inputs: Inputs, config: ModelConfig) -> MixtureSettings:
    """What every scheme with experts and gates takes from a run's settings."""
    return MixtureSettings(gate_settings(config), inputs.gate_columns, config.dropout, config.expert_norm)


def gate_settings(config: ModelConfig) -> GateSettings:
    """The gates' part of a run's settings."""
    balance = 0.1 if config.gate == "topk" else 0.0  # Shazeer et al. 2017, appendix C
    return GateSettings(
        kind=config.gate,
        bias=config.gate_bias,
        temperature=config.temperature,
        k=config.top_k,
        dropout=config.gate_dropout,
        importance_weight=balance if config.importance_weight is None else config.importance_weight,
        load_weight=balance if config.load_weight is None else config.load_weight,
        entropy_weight=config.entropy_weight if config.gate == "dselect_k" else 0.0,
    )


class Pick(nn.Module):
    """The columns of x that the gates read, gate_BF; None where they read what the experts read."""

    def __init__(self, columns: tuple[int, ...]):
        super().__init__()
        self.columns = columns
        self._index: dict[torch.device, Tensor] = {}

    @property
    def width(self) -> int | None:
        return len(self.columns) or None

    def forward(self, x_BD: Tensor) -> Tensor | None:
        if not self.columns:
            return None
        if x_BD.device not in self._index:
            with torch.inference_mode(False):  # kept for training, too
                self._index[x_BD.device] = torch.tensor(self.columns, device=x_BD.device)
        return x_BD.index_select(-1, self._index[x_BD.device])
