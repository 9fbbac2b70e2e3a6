"""The rows of a batch on which a task is defined."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.errors import InputError
from manygate.schema import Task

_COMPARE = {
    "==": pc.equal,
    "!=": pc.not_equal,
    ">=": pc.greater_equal,
    "<=": pc.less_equal,
    ">": pc.greater,
    "<": pc.less,
}


def sample_space(task: Task, batch: pa.RecordBatch, location: str) -> np.ndarray:
    """Rows on which a task is defined, bool; a comparison with null is false."""
    inside_B = np.ones(batch.num_rows, dtype=bool)
    for clause in task.clauses:
        column = batch.column(clause.column)
        value = clause.value
        if pt.is_boolean(column.type) and not isinstance(value, str):
            value = bool(value)
        try:
            matched = _COMPARE[clause.operator](column, pa.scalar(value))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            raise InputError(
                f"{location}: task {task.name!r}: where = {task.where!r} compares column {clause.column!r} ({column.type}) with "
                f"{clause.value!r} ({type(clause.value).__name__}). Compare it with a value of its own type."
            ) from None
        inside_B &= pc.fill_null(matched, False).to_numpy(zero_copy_only=False)
    return inside_B
