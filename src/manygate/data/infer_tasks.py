"""Infers the kind of each task from its labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manygate.data.sampled_column import SampledColumn, number, percent
from manygate.errors import raise_all
from manygate.schema import Task


def infer_tasks(tasks: Sequence[Task], columns: dict[str, SampledColumn], table: str) -> tuple[Task, ...]:
    inferred, problems = [], []
    for task in tasks:
        column = columns[task.column]
        location = f"{table}: task {task.name!r}: label column {task.column!r}"
        given = task.kind if "kind" in task.model_fields_set else None
        if not len(column.known):
            problems.append(f"{location} is null in every row looked at, so there is nothing to learn. Name another label.")
        elif column.numbers is None:
            problems.append(f"{location} holds {column.values.type}: {_examples(column)}. Write 0 and 1, or a number.")
        elif given == "binary" and not _is_binary(column):
            problems.append(
                f"{location} is binary, but holds {_examples(column)}. Write 0 and 1, or say {task.name}:kind=regression."
            )
        elif given is None and not _is_binary(column) and column.is_whole and column.distinct <= 3:
            problems.append(
                f"{location} has {column.distinct} values, among them {_examples(column)}: neither 0 and 1 nor clearly a number. "
                f"Write 0 and 1 for a yes-or-no label, or say {task.name}:kind=regression to predict the number."
            )
        else:
            kind = given or ("binary" if _is_binary(column) else "regression")
            note = task.note or _label_note(column, kind)
            inferred.append(task.model_copy(update={"kind": kind, "note": note}))
    raise_all(problems)
    return tuple(inferred)


def _examples(column: SampledColumn) -> str:
    """A few of the values that are not 0 or 1, cut short."""
    values = dict.fromkeys(repr(value.as_py())[:40] for value in column.known.slice(0, 200_000) if value.as_py() not in (0, 1))
    return ", ".join(list(values)[:5])


def _is_binary(column: SampledColumn) -> bool:
    return column.numbers is not None and bool(np.isin(column.numbers[~np.isnan(column.numbers)], (0, 1)).all())


def _label_note(column: SampledColumn, kind: str) -> str:
    assert column.numbers is not None
    unknown = float(np.isnan(column.numbers).mean())
    rest = f", {percent(unknown)} of the rows unknown" if unknown else ""
    with np.errstate(all="ignore"):
        ones = float(np.nanmean(column.numbers))
    if kind == "binary":
        return f"0 and 1, {percent(ones)} ones{rest}" if 0 < ones < 1 else f"always {ones:.0f} in the rows looked at{rest}"
    low, high = (number(end) for end in (np.nanmin(column.numbers), np.nanmax(column.numbers)))
    return f"numbers from {low} to {high}, {number(ones)} on average{rest}"
