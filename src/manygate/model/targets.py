"""What a model is asked for: its tasks' order in a funnel, and the levels of those that have some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manygate.data.labels import LabelScale, Levels
from manygate.schema import Task
from manygate.schema.task import funnel_order


@dataclass(frozen=True)
class Targets:
    """Which tasks come after which, which are binary, and the levels of ordinal ones.

    >>> Targets.of([Task(name="buy", after="click"), Task(name="click")])
    Targets(steps=((0, 1),), binary=(True, True), levels=(None, None))
    """

    steps: tuple[tuple[int, int], ...] = ()
    """(task, the task it comes after), the first steps first."""
    binary: tuple[bool, ...] = ()
    levels: tuple[Levels | None, ...] = ()

    @classmethod
    def of(cls, tasks: Sequence[Task], labels: Mapping[str, LabelScale] | None = None) -> Targets:
        """What the tasks declare; ``labels`` are needed where one is ordinal."""
        names = [task.name for task in tasks]
        parents = [names.index(task.after) if task.after is not None else None for task in tasks]
        levels = tuple(labels[name].levels if labels else None for name in names)
        return cls(tuple(funnel_order(parents)), tuple(task.kind == "binary" for task in tasks), levels)

    def alone(self) -> Targets:
        """Of a model per task: without a funnel between them."""
        return Targets(binary=self.binary, levels=self.levels)

    def heads(self, way: str) -> tuple[int, ...]:
        """The tasks whose loss a further tower imputes."""
        return tuple(t for t, _ in self.steps) if way == "escm2_dr" else ()

    def transfers(self, way: str) -> tuple[tuple[int, int], ...]:
        """The steps over which towers hand on what they know."""
        return self.steps if way == "aitm" else ()
