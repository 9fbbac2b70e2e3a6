"""Weights that fade or grow by the epoch: Tang et al., "Progressive Layered Extraction", RecSys 2020, section 4.3."""

from typing import final

from torch import Tensor

from manygate.objective.weighting.base import Seen, Weighting


@final
class Schedule(Weighting):
    """w_k(t) = w_k gamma_k^t: t is the epoch from 0, gamma_k the ``decay`` of the schema. With 1 everywhere it is ``fixed``."""

    def weigh(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        return self.given.weight_MT * self.given.decay_MT**seen.epoch
