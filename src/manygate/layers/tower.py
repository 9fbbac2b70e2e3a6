"""Per-task towers: h_BTH -> output_BO. Shape suffixes: B batch, T tasks, O outputs, H hidden, K last hidden, C bias inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from manygate.layers.units import Units, glorot

Steps = Sequence[tuple[int, int]]
"""Pairs (task, the task that it comes after). The first steps of a funnel come first."""


class Towers(nn.Module):
    """Runs T towers, the h_k of MMoE equation 6. Each is an MLP with ReLU and a linear head. A layer is one product for all towers.

    ``heads`` adds a further tower for each task in it, which reads the representation of that task. ``steps`` adds transfers from
    the tower of a task to the tower of the task after it (:class:`Transfer`).

    **Shape**: h_BTH, or h_B1H that all towers read -> output_BO. The outputs are the tasks' logits, then the outputs of the further
    towers.

    >>> towers = Towers(tasks=2, inputs=16, hidden=(8,))
    >>> towers(torch.zeros(4, 2, 16)).shape, sum(p.numel() for p in towers.parameters())
    (torch.Size([4, 2]), 290)
    >>> Towers(2, 16, (8,), heads=(1,), steps=[(1, 0)])(torch.zeros(4, 2, 16)).shape
    torch.Size([4, 3])
    """

    undecayed = ("bias",)

    def __init__(
        self,
        tasks: int,
        inputs: int,
        hidden: Sequence[int],
        dropout: float = 0.0,
        heads: Sequence[int] = (),
        steps: Steps = (),
    ):
        super().__init__()
        self.read = [*range(tasks), *heads]
        outputs, width = len(self.read), (inputs, *hidden)[-1]
        self.hidden = Units(outputs, inputs, hidden, dropout)
        self.transfer = Transfer(width, steps) if steps else None
        self.weight = nn.Parameter(glorot(outputs, width, 1).squeeze(-1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, h_BTH: Tensor) -> Tensor:
        alike = h_BTH.shape[1] in (1, len(self.read))
        q_BOK = self.hidden(h_BTH if alike else torch.stack([h_BTH[:, t] for t in self.read], dim=1))
        if self.transfer is not None:
            q_BOK = self.transfer(q_BOK.expand(-1, len(self.read), -1))
        device = q_BOK.device.type
        if device != "meta" and torch.is_autocast_enabled(device):  # logits stay float32
            return (q_BOK * self.weight).sum(dim=-1) + self.bias
        return (q_BOK.transpose(0, 1) @ self.weight.unsqueeze(-1)).squeeze(-1).t() + self.bias


class Transfer(nn.Module):
    """Passes the representation of an earlier step of a funnel to the tower of the next step (adaptive information transfer, AITM).

    Xi et al., "Modeling the Sequential Dependence among Audience Multi-step Conversions with Multi-task Learning in Targeted
    Display Advertising", KDD 2021, equations 3 to 6: For a task t after s,

        p_s = g(z_s),   z_t = sum over u in {p_s, q_t} of w_u v(u),   w_u = softmax over u of <k(u), r(u)> / sqrt(K).

    Each step has its own linear g, v, k and r. A task that comes after none has z_t = q_t. v, k and r have no biases, because the
    paper names none.

    **Shape**: q_BTK -> z_BTK.
    """

    def __init__(self, width: int, steps: Steps):
        super().__init__()
        self.steps = tuple(steps)
        self.info = nn.Parameter(glorot(len(steps), width, width))
        self.info_bias = nn.Parameter(torch.zeros(len(steps), width))
        self.value = nn.Parameter(glorot(len(steps), width, width))
        self.key = nn.Parameter(glorot(len(steps), width, width))
        self.query = nn.Parameter(glorot(len(steps), width, width))

    def forward(self, q_BTK: Tensor) -> Tensor:
        z = list(q_BTK.unbind(dim=1))
        for j, (t, after) in enumerate(self.steps):
            u_B2K = torch.stack([z[after] @ self.info[j] + self.info_bias[j], z[t]], dim=1)
            score_B2 = ((u_B2K @ self.key[j]) * (u_B2K @ self.query[j])).sum(dim=-1) / u_B2K.shape[-1] ** 0.5
            z[t] = (score_B2.softmax(dim=-1).unsqueeze(-1) * (u_B2K @ self.value[j])).sum(dim=1)
        return torch.stack(z, dim=1)


class BiasTower(nn.Module):
    """A shallow tower that reads the bias features (for example a position) and adds its output to the logits.

    Zhao et al., "Recommending What Video to Watch Next", RecSys 2019: The main network does not read the bias features. They are
    absent at serving. The null row and feature dropout train the tower for this case. Departures: The tower is linear. It adds to
    every task's logit. Its embedding tables start at zero, so that it adds nothing at first.

    **Shape**: x_BC -> logit_BT.
    """

    def __init__(self, tasks: int, inputs: int):
        super().__init__()
        self.weight = nn.Parameter(glorot(inputs, tasks)) if inputs else nn.Parameter(torch.zeros(0, tasks))

    def forward(self, x_BC: Tensor) -> Tensor:
        return x_BC @ self.weight
