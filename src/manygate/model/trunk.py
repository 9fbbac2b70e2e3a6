"""Trunk: the cross layers, the lower layers, the architecture and the towers of one model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from manygate.architecture import Architecture
from manygate.errors import InputError
from manygate.kernels.cut import cut
from manygate.layers.cross import CrossLayers
from manygate.layers.experts import Experts
from manygate.layers.tower import BiasTower, Towers
from manygate.model.ordinal import Thresholds


class Trunk(nn.Module):
    """Runs the layers below the architecture that all tasks share (if any), the architecture and the towers of one model.

    Below the architecture come the cross layers, which keep the width of x, and then the lower layers.

    **Shape**: x_BD, bias_BC -> output_BO and the scheme's penalty. With ``shared=True`` the output of the shared layer comes third.
    With ``cuts=True``, too, the layers above read a copy of it, which comes fourth (:func:`manygate.kernels.cut.cut`). With
    ``gates=True`` the result is the gate weights instead. The outputs are the tasks' logits, then the outputs of further
    towers (see :class:`manygate.layers.tower.Towers`), then the further logits of ordinal tasks.
    """

    def __init__(
        self,
        architecture: Architecture,
        towers: Towers,
        bias_tower: BiasTower,
        lower: Experts | None = None,
        thresholds: Thresholds | None = None,
        cross: CrossLayers | None = None,
    ):
        super().__init__()
        self.cross = cross
        self.lower, self.architecture, self.towers, self.bias_tower = lower, architecture, towers, bias_tower
        self.thresholds = thresholds

    def forward(
        self, x_BD: Tensor, bias_BC: Tensor, gates: bool = False, shared: bool = False, cuts: bool = False
    ) -> tuple[Tensor, ...]:
        if shared:
            return self._with_shared(x_BD, bias_BC, cuts)
        x_BD = self.below(x_BD)
        if gates:
            return self.architecture.gates(x_BD)
        output_BO = self.towers(self.architecture(x_BD))
        if bias_BC.shape[-1]:
            output_BO = output_BO + self.bias_tower(bias_BC)
        if self.thresholds is not None:
            output_BO = torch.cat([output_BO, self.thresholds(output_BO)], dim=-1)
        return output_BO, self.architecture.penalty(self.towers)

    def below(self, x_BD: Tensor) -> Tensor:
        """Return what the architecture reads: x after the cross layers and the lower layers, if there are any."""
        if self.cross is not None:
            x_BD = self.cross(x_BD)
        return x_BD if self.lower is None else self.lower(x_BD)[0].squeeze(1)

    def shared_layer(self) -> nn.Module | None:
        """Return the last module whose output every task reads. Return None if every task reads x itself."""
        layer: Any = self.architecture.shared_layer()
        if layer is not None and not any(layer is module for module in self.architecture.modules()):
            raise InputError(
                f"{self._name}.shared_layer returns {layer!r}, which is not a module of the scheme. Return a module of it or None."
            )
        below = self.cross if self.lower is None else self.lower
        return below if layer is None else layer

    def shared_units(self) -> tuple[int, ...] | None:
        """Return the indices of the shared layer's networks that more than one task trains. None means all."""
        return self.architecture.shared_units() if self.architecture.shared_layer() is not None else None

    def shared_above(self) -> list[str]:
        """Return the names of the parameters above the shared representation that more than one task trains."""
        shared = self.architecture.shared_above()
        return [name for name, value in self.named_parameters() if any(value is parameter for parameter in shared)]

    def _with_shared(self, x_BD: Tensor, bias_BC: Tensor, cuts: bool) -> tuple[Tensor, ...]:
        layer, units = self.shared_layer(), self.shared_units()
        outputs: list[Any] = []
        copies: list[Tensor] = []
        assert layer is not None

        def record(_: nn.Module, __: Any, output: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...] | None:
            value, *others = (output,) if isinstance(output, Tensor) else output
            outputs.append(value)
            if not cuts or not isinstance(value, Tensor):
                return None
            copies.append(cut(value, units))
            return copies[-1] if isinstance(output, Tensor) else (copies[-1], *others)

        with layer.register_forward_hook(record):
            result = self(x_BD, bias_BC)
        if len(outputs) != 1:
            raise InputError(
                f"{self._name}.shared_layer returns a module that a forward pass calls {len(outputs)} times. "
                "Return a module that is called once."
            )
        if not isinstance(outputs[0], Tensor):
            raise InputError(
                f"{self._name}.shared_layer returns a module whose output is {type(outputs[0]).__name__}. "
                "Return a module whose output is a tensor."
            )
        return *result, outputs[0], *copies

    @property
    def _name(self) -> str:
        return type(self.architecture).__name__
