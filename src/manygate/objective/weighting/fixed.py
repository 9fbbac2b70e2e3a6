"""Fixed weights: The objective is the weighted sum of the losses. If all weights are 1, it is unitary scalarisation."""

from typing import final

from torch import Tensor

from manygate.objective.weighting.base import StepContext, Weighting


@final
class Fixed(Weighting):
    """Computes objective = sum_k w_k L_k, where w_k is ``weight`` of the schema times ``replica_weights``.

    Kurin et al., "In Defense of the Unitary Scalarization for Deep Multi-Task Learning", NeurIPS 2022: With the usual
    regularisation, fixed weights match or beat methods that adapt the weights, and they cost less.
    """

    def weigh(self, loss_MT: Tensor, context: StepContext) -> Tensor:
        return self.setup.weight_MT
