"""Targets: the order of the tasks in a funnel, and the levels of ordinal tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manygate.data.labels import LabelScale, Levels
from manygate.schema import Task
from manygate.schema.task import funnel_order


@dataclass(frozen=True)
class Targets:
    """Holds the steps of the funnel, which tasks are binary, and the levels of ordinal tasks.

    >>> Targets.of([Task(name="buy", after="click"), Task(name="click")])
    Targets(steps=((0, 1),), binary=(True, True), levels=(None, None))
    """

    steps: tuple[tuple[int, int], ...] = ()
    """Pairs (task, the task that it comes after). The first steps of a funnel come first."""
    binary: tuple[bool, ...] = ()
    """True for each binary task."""
    levels: tuple[Levels | None, ...] = ()
    """The levels of each ordinal task. None for the other tasks."""

    @classmethod
    def of(cls, tasks: Sequence[Task], labels: Mapping[str, LabelScale] | None = None) -> Targets:
        """Build the targets from the tasks. ``labels`` holds the scale of each label; ordinal tasks need it."""
        names = [task.name for task in tasks]
        parents = [names.index(task.after) if task.after is not None else None for task in tasks]
        levels = tuple(labels[name].levels if labels else None for name in names)
        return cls(tuple(funnel_order(parents)), tuple(task.kind == "binary" for task in tasks), levels)

    def alone(self) -> Targets:
        """Return the same targets without the funnel. A scheme with one model per task uses them."""
        return Targets(binary=self.binary, levels=self.levels)

    def heads(self, funnel: str) -> tuple[int, ...]:
        """Return the tasks with a further tower that imputes their loss. ``funnel`` is the setting of that name."""
        return tuple(t for t, _ in self.steps) if funnel == "escm2_dr" else ()

    def transfers(self, funnel: str) -> tuple[tuple[int, int], ...]:
        """Return the steps in which a tower passes its representation to the next tower. ``funnel`` is the setting of that name."""
        return self.steps if funnel == "aitm" else ()
