"""Decides when a training run is evaluated: after each epoch, or after equal parts of an epoch.

An epoch is counted in numbers with a fraction: 2.25 is the evaluation after a quarter of the third epoch. A whole number is an int.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from manygate.config import TrainConfig
from manygate.errors import InputError, setting


@dataclass(frozen=True)
class Schedule:
    """The evaluations of an epoch.

    >>> schedule = Schedule(batches=9, parts=4)
    >>> [schedule.end(part) for part in range(4)], schedule.number(2, 1), schedule.number(3, 0)
    ([3, 5, 7, 9], 2.25, 3)
    """

    batches: int
    """The number of batches of an epoch."""
    parts: int
    """The number of evaluations in an epoch."""

    @classmethod
    def of(cls, config: TrainConfig, batches: int) -> Schedule:
        """Return the schedule of a run. Raises :class:`InputError` if an epoch has fewer batches than evaluations."""
        parts = round(1 / config.evaluate_every)
        if parts > batches:
            raise InputError(
                f"{setting('evaluate_every', config.evaluate_every)}: {parts} evaluations in each epoch, which has {batches} "
                f"{'batch' if batches == 1 else 'batches'}. Evaluate less often, or lower {setting('batch_size')}."
            )
        return cls(batches, parts)

    def end(self, part: int) -> int:
        """Return the number of batches of the epoch after which its evaluation ``part``, from 0, takes place."""
        return math.ceil((part + 1) * self.batches / self.parts)

    def number(self, epoch: int, part: int) -> float:
        """Return the number of an epoch after ``epoch`` whole epochs and ``part`` evaluations of the next one."""
        return epoch + part / self.parts if part else epoch
