"""This module gathers what the test rows say about one sharing model, for the sentences of the recommendation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from manygate.results.comparison import Price
from manygate.results.summary import JointGain
from manygate.verdict.rules import Gains, Outcome, outcome_as_shipped, outcome_per_task
from manygate.verdict.transfer import sure


@dataclass(frozen=True)
class Judged:
    """A sharing model with its gains by task."""

    name: str
    effect: Gains
    """The effect of sharing: each task at the best epoch of its own clock."""
    shipped: Gains
    """The gain with the checkpoint that is kept."""
    price: Mapping[str, Price]
    """The difference of the two."""

    @property
    def as_shipped(self) -> Outcome:
        """What the model does to the tasks with the checkpoint that is kept."""
        return outcome_as_shipped(self.effect, self.shipped)

    @property
    def per_task(self) -> Outcome:
        """What the model does to the tasks with a checkpoint for each."""
        return outcome_per_task(self.effect)

    def harm(self, task: str) -> JointGain:
        """Return the gain that shows the harm of a task: as shipped, or the effect where the gain as shipped is undecided."""
        return self.shipped[task] if sure(self.shipped[task]) < 0 else self.effect[task]

    @property
    def priced(self) -> list[str]:
        """The tasks that pay for the one checkpoint beyond doubt."""
        return [task for task, price in self.price.items() if price.joint95 is not None and price.joint95[0] > 0]

    @property
    def hurt_by_the_price_alone(self) -> list[str]:
        """The tasks that are hurt as shipped and not by sharing."""
        return [task for task in self.as_shipped.hurt if task not in self.per_task.hurt]

    @property
    def helped_but_for_the_price(self) -> list[str]:
        """The tasks that sharing helps, and that are not helped as shipped."""
        return [task for task in self.per_task.helped if task not in self.as_shipped.helped]
