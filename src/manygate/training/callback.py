"""What a training run calls after each epoch: a function of your own.

A callback takes one :class:`EpochEnd`. It may print, log or decide: where it returns True, training stops after this epoch, as if
the budget had ended, and the best weights so far are kept. An exception that it raises ends the run; what was trained stays in
the checkpoints of the run's folder. Replicas that do not fit in memory together train in packs, one after the other, and the
callback is called after each epoch of each pack. A callback must not change the model: training steps are recorded and would not
see the change.

>>> def stop_when_good_enough(end: EpochEnd) -> bool:
...     return min(value or 0.0 for value in end.valid["click"]) > 0.8
>>> stop_when_good_enough(EpochEnd("mmoe", 1, 100, {"click": [0.5]}, {"click": [0.81]}))
True
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochEnd:
    """The state of a run at the end of an epoch.

    ``run`` is its title (the architecture, and the replicas where a pack has only some), ``epoch`` counts from 1, ``step`` is the
    number of optimizer steps. ``train_loss`` and ``valid`` have a list over replicas for each task: the mean training loss and the
    main validation metric (AUC or R2); None where it is undefined.
    """

    run: str
    epoch: int
    step: int
    train_loss: dict[str, list[float | None]]
    valid: dict[str, list[float | None]]


OnEpoch = Callable[[EpochEnd], "bool | None"]
