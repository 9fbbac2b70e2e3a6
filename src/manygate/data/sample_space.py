"""The rows of a batch on which a task is defined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manygate.data.comparisons import ComparisonError, comparable, compare_columns, compare_with_constant
from manygate.errors import InputError
from manygate.schema import Task
from manygate.schema.expression import Column, Operand


def sample_space(task: Task, batch: pa.RecordBatch, location: str) -> np.ndarray:
    """Rows of a task's ``where``, bool; a row where it is unknown lies outside, as in SQL.

    >>> log = pa.record_batch({"click": [1, 0, None], "country": ["CH", "CH", None]})
    >>> sample_space(Task(name="buy", where="click == 1 or country == 'DE'"), log, "log").tolist()
    [True, False, False]
    """
    if task.condition is None:
        return np.ones(batch.num_rows, dtype=bool)
    truth = task.condition.judged_by(_BatchJudge(task, batch, location))
    inside_B: np.ndarray = pc.fill_null(truth, False).to_numpy(zero_copy_only=False)
    return inside_B


@dataclass(frozen=True)
class _BatchJudge:
    """Judges comparisons on a batch; errors name the location, the task and the column."""

    task: Task
    batch: pa.RecordBatch
    location: str

    def compare(self, column: Column, operator: str, other: Operand) -> pa.Array:
        values = comparable(self.batch.column(column.name))
        try:
            if isinstance(other, Column):
                return compare_columns(values, operator, comparable(self.batch.column(other.name)))
            return compare_with_constant(values, operator, other.value)
        except ComparisonError as remedy:
            raise InputError(
                f"{self.location}: task {self.task.name!r}: where = {self.task.where!r} compares column {column.name!r} "
                f"({values.type}) with {other}: {remedy}."
            ) from None

    def is_null(self, column: Column) -> pa.Array:
        return pc.is_null(comparable(self.batch.column(column.name)))

    def both(self, first: pa.Array, second: pa.Array) -> pa.Array:
        return pc.and_kleene(first, second)

    def either(self, first: pa.Array, second: pa.Array) -> pa.Array:
        return pc.or_kleene(first, second)

    def opposite(self, truth: pa.Array) -> pa.Array:
        return pc.invert(truth)
