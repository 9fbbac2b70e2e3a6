"""Problem: the inputs and the tasks of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from manygate.config import ModelConfig
from manygate.data.encode import Encoder
from manygate.data.labels import LabelScale
from manygate.data.log_rows import LogRows
from manygate.data.rows import FIRST_ROW, Input
from manygate.model.targets import Targets
from manygate.schema import Schema, Task

NARROWEST, WIDEST = 4, 64
"""The smallest and the largest width of an embedding that follows from the number of ids."""


@dataclass(frozen=True)
class Problem:
    """Holds the inputs that a model reads, the tasks that it predicts, and the scale of each task's label.

    :meth:`of` builds it once from a fitted encoder. Functions take a problem instead of inputs, tasks and scales one by one.

    >>> problem = Problem.binary([Input("age", "dense", False, units=1)], tasks=2)
    >>> [task.name for task in problem.tasks], problem.targets.binary
    (['y1', 'y2'], (True, True))
    """

    inputs: tuple[Input, ...]
    tasks: tuple[Task, ...]
    labels: Mapping[str, LabelScale]

    @classmethod
    def of(cls, encoder: Encoder, config: ModelConfig) -> Problem:
        """Build the problem of a fitted encoder.

        ``config.dim`` or ``config.dim_rule`` gives the embedding width of features without a width of their own.
        """
        inputs = ruled(encoder.inputs(config.dim), encoder.schema, config)
        return cls(inputs, encoder.schema.tasks, encoder.labels)

    @classmethod
    def unscaled(cls, inputs: Sequence[Input], tasks: Sequence[Task]) -> Problem:
        """Build a problem whose labels are on the scale of the model's outputs already."""
        return cls(tuple(inputs), tuple(tasks), {task.name: LabelScale() for task in tasks})

    @classmethod
    def binary(cls, inputs: Sequence[Input], tasks: int) -> Problem:
        """Build a problem of ``tasks`` binary tasks named y1, y2 and so on, for sizes and examples."""
        return cls.unscaled(inputs, [Task(name=f"y{t + 1}") for t in range(tasks)])

    @cached_property
    def targets(self) -> Targets:
        """The steps of the funnel, which tasks are binary, and the levels of ordinal tasks."""
        return Targets.of(self.tasks, self.labels)

    @property
    def task_names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    def labelled(self, rows: LogRows, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels of task ``t`` in the unit of the data, and their weights. Both are (N,) float64."""
        label_N = self.labels[self.tasks[t].name].decode(rows.label_BT[:, t].astype(np.float64))
        return label_N, rows.weight_BT[:, t].astype(np.float64)


def ruled(inputs: tuple[Input, ...], schema: Schema, config: ModelConfig) -> tuple[Input, ...]:
    """Return inputs with the widths of ``config.dim_rule``. Features with a width of their own in the schema keep it."""
    if config.dim_rule != "fourth_root":
        return inputs
    given = {feature.name for feature in schema.features if feature.dim is not None}
    free = (bool(i.dim) and (i.of_number or i.name not in given) for i in inputs)
    return tuple(replace(i, dim=fourth_root(i.rows - FIRST_ROW)) if f else i for i, f in zip(inputs, free, strict=True))


def fourth_root(ids: int) -> int:
    """Return the embedding width for a number of ids: its fourth root, as the nearest power of 2 from 4 to 64.

    The fourth root is the rule of thumb of Google's "Introducing TensorFlow Feature Columns" (2017). Departure: powers of 2, so
    that features share tables. Few widths mean few look-ups.

    >>> [fourth_root(ids) for ids in (2, 1_000, 100_000, 1_000_000, 20_000_000, 10**9)]
    [4, 4, 16, 32, 64, 64]
    """
    return int(min(max(2 ** round(math.log2(max(ids, 1)) / 4), NARROWEST), WIDEST))
