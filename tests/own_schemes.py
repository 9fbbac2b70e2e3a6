"""Schemes of the user's own: a sound one, and some that fail."""

from __future__ import annotations

import torch

import manygate as mg
from manygate.layers.experts import Experts


class Own(mg.Architecture):
    """Every task reads the same bottom."""

    def __init__(self, inputs: int, tasks: int, hidden: tuple[int, ...]):
        super().__init__()
        self.tasks, self.output_width = tasks, hidden[-1]
        self.bottom = Experts(inputs, 1, hidden)

    @classmethod
    def build(cls, inputs, tasks, config):
        return cls(inputs.width, tasks, config.expert_hidden)

    def forward(self, x_BD):
        return self.bottom(x_BD)[0].expand(-1, self.tasks, -1)

    def shared_parameters(self):
        return list(self.bottom.parameters())


class Unfinished(mg.Architecture):
    """Has no forward."""


class Flat(Own):
    """Gives one vector for all tasks together."""

    def forward(self, x_BD):
        return self.bottom(x_BD)[0].squeeze(1)


class Broken(Own):
    """Raises."""

    def forward(self, x_BD):
        raise KeyError("inside")


class Named(Own):
    """Names what is no layer of its own."""

    def shared_layer(self):
        return "bottom"


class Never(Own):
    """Names a layer that no pass calls."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.idle = torch.nn.Identity()

    def shared_layer(self):
        return self.idle


class Twice(Own):
    """Calls its shared layer twice."""

    def forward(self, x_BD):
        return super().forward(x_BD) + super().forward(-x_BD)

    def shared_layer(self):
        return self.bottom


class Detached(Own):
    """Names a layer without a gradient."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.ears = torch.nn.Identity()

    def forward(self, x_BD):
        self.ears(x_BD.detach())
        return super().forward(x_BD)

    def shared_layer(self):
        return self.ears
