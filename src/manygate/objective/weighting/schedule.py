"""Weights that fade or grow by the epoch: Tang et al., "Progressive Layered Extraction", RecSys 2020, section 4.3."""

from typing import final

from torch import Tensor

from manygate.objective.weighting.base import StepContext, Weighting


@final
class Schedule(Weighting):
    """Uses the weight w_k gamma_k^t in epoch t, where t counts from 0 and gamma_k is the ``decay`` of the schema.

    If every ``decay`` is 1, it equals ``fixed``.
    """

    def weigh(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        return self.setup.weight_MT * self.setup.decay_MT**context.epoch
