"""FAMO: Liu, Feng, Stone & Liu, "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023, algorithm 1."""

from typing import final

import torch
from torch import Tensor

from manygate.objective.weighting.base import StepContext, Weighting, WeightingSetup

RATE, DECAY, SMALLEST = 0.025, 1e-3, 1e-8
FIRST, SECOND, ADAM_EPSILON = 0.9, 0.999, 1e-8
"""The constants of Adam, which updates the logits."""


@final
class FAMO(Weighting):
    """Weighs the tasks so that all losses fall at about the same rate.

    lambda_k = T c z_k / L_k, with z = softmax(xi) and c such that lambda sums to T. After the update, the logits xi take a step of
    Adam towards the tasks whose log L_k fell least on the same batch. This takes one more forward pass. A task without rows in the
    batch has no part in z. The fixed weight multiplies lambda. Departure: The weights sum to T and not to 1, so that a learning
    rate means the same as with ``fixed``.
    """

    needs_losses_after_update = True

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.state = {name: torch.zeros_like(setup.weight_MT) for name in ("logit", "first", "second", "before")}

    def weigh(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        log_MT = loss_MT.clamp(min=SMALLEST).log()
        self.state["before"].copy_(log_MT)
        share_MT = torch.softmax((self.state["logit"] - log_MT).where(context.present_MT, -torch.inf), dim=1)
        return self.setup.weight_MT * context.present_MT.sum(dim=1, keepdim=True) * share_MT.nan_to_num()

    def after_update(self, loss_MT: Tensor, context: StepContext) -> None:
        fallen_MT = self.state["before"] - loss_MT.clamp(min=SMALLEST).log()
        fallen_MT = fallen_MT.where(context.present_MT & fallen_MT.isfinite(), 0.0)
        z_MT = torch.softmax(self.state["logit"].where(context.present_MT, -torch.inf), dim=1).nan_to_num()
        gradient_MT = z_MT * (fallen_MT - (z_MT * fallen_MT).sum(dim=1, keepdim=True)) + DECAY * self.state["logit"]
        self.state["first"].lerp_(gradient_MT, 1 - FIRST)
        self.state["second"].lerp_(gradient_MT.square(), 1 - SECOND)
        count = context.step + 1
        first_MT, second_MT = self.state["first"] / (1 - FIRST**count), self.state["second"] / (1 - SECOND**count)
        self.state["logit"] -= RATE * first_MT / (second_MT.sqrt() + ADAM_EPSILON)
