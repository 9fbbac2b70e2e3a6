"""Callbacks: functions of your own that a training run calls after each evaluation, which is each epoch by default.

A callback takes one :class:`EpochEnd`. It may print or log. If it returns True, training stops after this evaluation and keeps the
best weights so far. If it raises an exception, the run ends. The checkpoints in the run's folder remain. With the setting
``evaluate_every=0.25`` it is called four times in each epoch. Replicas that do not fit in memory together train in packs, one after
the other. The callback is then called after each evaluation of each pack. A callback must not change the model. Training steps are
recorded, so a change would have no effect on them.

>>> def stop_when_good_enough(end: EpochEnd) -> bool:
...     return min((value for value in end.valid["click"] if value is not None), default=0.0) > 0.8
>>> stop_when_good_enough(EpochEnd("mmoe", 1, 100, {"click": [0.5]}, {"click": [0.81]}))
True
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpochEnd:
    """The state of a run at an evaluation.

    ``train_loss`` and ``valid`` map each task to a list over replicas. None stands for a value that is undefined, and for a replica
    that early stopping ended at an earlier evaluation.
    """

    run: str
    """The title of the run: the architecture, and the numbers of the replicas if they are a pack."""
    epoch: float
    """The number of epochs so far: 1 after the first, 0.25 after a quarter of it."""
    step: int
    """The number of optimizer steps so far."""
    train_loss: dict[str, list[float | None]]
    """The mean training loss of the epoch so far."""
    valid: dict[str, list[float | None]]
    """The main validation metric: AUC or R2."""
    score: list[float | None] = field(default_factory=list)
    """The validation score of each replica, as ``monitor`` defines it; higher is better. None as in ``valid``."""


OnEpoch = Callable[[EpochEnd], "bool | None"]
