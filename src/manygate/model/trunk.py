"""Trunk: lower layers, architecture and towers of one model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from manygate.architecture import Architecture
from manygate.errors import InputError
from manygate.layers.experts import Experts
from manygate.layers.tower import BiasTower, Towers
from manygate.model.ordinal import Thresholds


class Trunk(nn.Module):
    """Lower layers that all tasks share (if any), architecture and towers of one model.

    **Shape**: x_BD, bias_BC -> output_BO and the scheme's penalty, and with ``shared=True`` what the shared layer gave; with
    ``gates=True`` the gate weights instead. Outputs are the tasks' logits, then those of further towers (see
    :class:`manygate.layers.tower.Towers`), then the further logits of ordinal tasks.
    """

    def __init__(
        self,
        architecture: Architecture,
        towers: Towers,
        bias_tower: BiasTower,
        lower: Experts | None = None,
        thresholds: Thresholds | None = None,
    ):
        super().__init__()
        self.lower, self.architecture, self.towers, self.bias_tower = lower, architecture, towers, bias_tower
        self.thresholds = thresholds

    def forward(self, x_BD: Tensor, bias_BC: Tensor, gates: bool = False, shared: bool = False) -> tuple[Tensor, ...]:
        if shared:
            return self._with_shared(x_BD, bias_BC)
        if self.lower is not None:
            x_BD = self.lower(x_BD)[0].squeeze(1)
        if gates:
            return self.architecture.gates(x_BD)
        output_BO = self.towers(self.architecture(x_BD))
        if bias_BC.shape[-1]:
            output_BO = output_BO + self.bias_tower(bias_BC)
        if self.thresholds is not None:
            output_BO = torch.cat([output_BO, self.thresholds(output_BO)], dim=-1)
        return output_BO, self.architecture.penalty(self.towers)

    def shared_layer(self) -> nn.Module | None:
        """The last module whose output every task reads; None where that is x itself."""
        layer: Any = self.architecture.shared_layer()
        if layer is not None and not any(layer is module for module in self.architecture.modules()):
            raise InputError(f"{self._name}.shared_layer gives {layer!r}, which is no module of the scheme. Return one, or None.")
        return self.lower if layer is None else layer

    def shared_units(self) -> tuple[int, ...] | None:
        """Of its networks side by side, those that more than one task trains; None for all."""
        return self.architecture.shared_units() if self.architecture.shared_layer() is not None else None

    def _with_shared(self, x_BD: Tensor, bias_BC: Tensor) -> tuple[Tensor, ...]:
        layer = self.shared_layer()
        heard: list[Any] = []
        assert layer is not None

        def hear(_: nn.Module, __: Any, output: Tensor | tuple[Tensor, ...]) -> None:
            heard.append(output if isinstance(output, Tensor) else output[0])

        with layer.register_forward_hook(hear):
            result = self(x_BD, bias_BC)
        if len(heard) != 1:
            raise InputError(f"{self._name}.shared_layer names a module that a pass calls {len(heard)} times, not once.")
        if not isinstance(heard[0], Tensor):
            raise InputError(f"{self._name}.shared_layer names a module that gives {type(heard[0]).__name__}, not a tensor.")
        return *result, heard[0]

    @property
    def _name(self) -> str:
        return type(self.architecture).__name__
