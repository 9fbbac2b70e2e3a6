"""PEPNet: Chang et al., "PEPNet: Parameter and Embedding Personalized Network", KDD 2023."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, Pick
from manygate.architecture.shared_bottom import bottom_widths
from manygate.config import ModelConfig
from manygate.layers.experts import Experts
from manygate.layers.units import Units, glorot


class GateUnit(nn.Module):
    """Gate NU (equations 2 and 3): scale = 2 sigmoid(W' relu(W x + b) + b'), so between 0 and 2, and 1 at first on average.

    **Shape**: x_BF -> scale_BN.
    """

    undecayed = ("biases",)

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(glorot(inputs, hidden)), nn.Parameter(glorot(hidden, outputs))])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(hidden)), nn.Parameter(torch.zeros(outputs))])

    def forward(self, x_BF: Tensor) -> Tensor:
        hidden_BH = (x_BF @ self.weights[0] + self.biases[0]).relu()
        return 2 * (hidden_BH @ self.weights[1] + self.biases[1]).sigmoid()


@final
class PEPNet(Architecture):
    """Gates that scale the embeddings (EPNet) and the units of every task's network (PPNet) by prior features.

    EPNet: O_ep = delta(prior, stop(x)) * x (equations 4 and 5). PPNet: in task t's network O^(l) = delta_t^(l)(prior, stop(O_ep)) *
    relu(O^(l-1) W_t + b_t) (equations 6 to 8). Gradients of the gates reach the prior features but not x through them (stop).

    The prior features (the user, the item, the domain) are those named by ``gate_features``; without any, the gates read stop(x)
    alone. Departures: both kinds of gate have the same prior features (the paper gives EPNet the domain, PPNet user and item), and
    PPNet has a gate unit for each layer.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> PEPNet(inputs=100, tasks=2, hidden=(16, 8), prior=(0, 1, 2))(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 8])
    """

    widths: ClassVar[str] = "bottom_hidden"

    def __init__(
        self,
        inputs: int,
        tasks: int,
        hidden: Sequence[int],
        prior: tuple[int, ...] = (),
        gate_hidden: int = 32,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.tasks, self.output_width, self.pick = tasks, hidden[-1], Pick(prior)
        self.embedding_gate = GateUnit(len(prior) + inputs, gate_hidden, inputs)
        self.unit_gates = nn.ModuleList(GateUnit(len(prior) + inputs, gate_hidden, tasks * width) for width in hidden)
        self.first = Experts(inputs, tasks, hidden[:1], dropout=dropout)
        self.later = nn.ModuleList(
            Units(tasks, below, (width,), dropout) for below, width in zip(hidden[:-1], hidden[1:], strict=True)
        )

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        hidden = bottom_widths(inputs, tasks, config)
        return cls(inputs.width, tasks, hidden, inputs.gate_columns, config.gate_hidden, config.dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        prior_BF = self.pick(x_BD)
        x_BD = self.embedding_gate(_beside(prior_BF, x_BD.detach())) * x_BD
        read_BF = _beside(prior_BF, x_BD.detach())
        h_BTH = self.first(x_BD)[0] * self.unit_gates[0](read_BF).unflatten(-1, (self.tasks, -1))
        for layer, gate in zip(self.later, list(self.unit_gates)[1:], strict=True):
            h_BTH = layer(h_BTH) * gate(read_BF).unflatten(-1, (self.tasks, -1))
        return h_BTH

    def shared_above(self) -> list[nn.Parameter]:
        """EPNet's gate, and the hidden layers of PPNet's gates. The outputs of the latter are a task's own."""
        gates = [gate for gate in self.unit_gates if isinstance(gate, GateUnit)]
        hidden = [value for gate in gates for value in (gate.weights[0], gate.biases[0])]
        return [*self.embedding_gate.parameters(), *hidden]

    def shared_parameters(self) -> list[nn.Parameter]:
        """The gates'; each task's network is its own, but they are stacked."""
        return list(self.parameters())


def _beside(prior_BF: Tensor | None, x_BD: Tensor) -> Tensor:
    return x_BD if prior_BF is None else torch.cat([prior_BF, x_BD], dim=-1)
