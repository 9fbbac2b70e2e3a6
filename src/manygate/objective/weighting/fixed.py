"""Fixed weights: the sum of the losses, each times its task's weight (unitary scalarisation where all are 1)."""

from typing import final

from torch import Tensor

from manygate.objective.weighting.base import Seen, Weighting


@final
class Fixed(Weighting):
    """objective = sum_k w_k L_k, with ``weight`` of the schema times ``replica_weights``.

    Kurin et al., "In Defense of the Unitary Scalarization for Deep Multi-Task Learning", NeurIPS 2022: with the usual
    regularisation it matches or beats the methods below, which cost more.
    """

    def weigh(self, loss_MT: Tensor, seen: Seen) -> Tensor:
        return self.given.weight_MT
