"""Single-Task: a model of its own for each task, the baseline of every claim about sharing (MMoE section 6.3.2)."""

from __future__ import annotations

from typing import ClassVar, final

from torch import nn

from manygate.architecture.shared_bottom import Bottom


@final
class SingleTask(Bottom):
    """y_k = h_k(f_k(x)): nothing is shared, neither bottoms nor embeddings.

    The T models of the T tasks train as one program, each with its own early stopping. Each has the bottom that Shared-Bottom
    would have for all tasks, so that Single-Task has about T times the parameters: a strong baseline. Each keeps the weights of its
    own best epoch, where a sharing scheme keeps one epoch's weights for all tasks.

    **Shape**: x_BD -> h_B1H.
    """

    one_model_per_task: ClassVar[bool] = True

    def shared_parameters(self) -> list[nn.Parameter]:
        return []
