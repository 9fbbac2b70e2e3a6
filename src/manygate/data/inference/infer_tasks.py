"""Infers the kind of each task from its labels within its sample space.

Shape suffix: N rows of the sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from manygate.data.column import as_numbers
from manygate.data.inference.sampled_column import SampledColumn, number, percent
from manygate.data.label_values import TRUTH_WORDS, known_label, read_label
from manygate.data.sample_space import sample_space
from manygate.errors import InputError, raise_all, setting
from manygate.schema import Task


def infer_tasks(tasks: Sequence[Task], sample: pa.Table, weight: str | None, table: str) -> tuple[Task, ...]:
    """Give each task its kind, the word for 0 where its label is words, and a note for people.

    Only labels that count are looked at: within the sample space, after the step before, of a weight other than 0.
    """
    batch = _batch_of(tasks, sample, weight)
    counted_N = np.ones(batch.num_rows, dtype=bool)
    if weight is not None and SampledColumn(weight, sample.column(weight), False).is_number:
        counted_N = as_numbers(batch.column(weight), weight, table) != 0
    inferred: dict[str, Task] = {}
    happened: dict[str, np.ndarray] = {}
    problems: list[str] = []
    for task in _parents_first(tasks):
        location = f"{table}: task {task.name!r}: label column {task.column!r}"
        try:
            inside_N = counted_N & sample_space(task, batch, table) & happened.get(task.after or "", np.ones(1, dtype=bool))
            column = known_label(task, batch.column(task.column), table).filter(pa.array(inside_N))
            task = _with_kind(task, column, location)
            values = read_label(task, batch, table)
            if task.kind == "binary":
                values.check(inside_N, table)
            happened[task.name] = inside_N & (values.number_B == 1)
        except InputError as error:
            problems += error.marked
        inferred[task.name] = task
    raise_all(problems)
    return tuple(inferred[task.name] for task in tasks)


def labels_that_count(tasks: Sequence[Task], sample: pa.Table, table: str) -> dict[str, np.ndarray]:
    """The labels of each task that :func:`infer_tasks` returned, as float64: NaN where a label is unknown or does not count."""
    batch = _batch_of(tasks, sample, None)
    labels: dict[str, np.ndarray] = {}
    for task in _parents_first(tasks):
        happened_N = labels[task.after] == 1 if task.after in labels else np.ones(batch.num_rows, dtype=bool)
        values = read_label(task, batch, table)
        inside_N = happened_N & sample_space(task, batch, table) & ~values.bad_B
        labels[task.name] = np.where(inside_N, values.number_B, np.nan)
    return labels


def _batch_of(tasks: Sequence[Task], sample: pa.Table, weight: str | None) -> pa.RecordBatch:
    """The columns of the sample that labels need."""
    names = dict.fromkeys([*(column for task in tasks for column in task.columns), *([weight] if weight else [])])
    return pa.RecordBatch.from_pydict({name: _joined(sample.column(name)) for name in names})


def _joined(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)


def _parents_first(tasks: Sequence[Task]) -> list[Task]:
    """The tasks, each after the task that it comes after; an order for tasks in a circle, too, which the schema refuses."""
    names, ordered = {task.name for task in tasks}, list[Task]()
    while rest := [task for task in tasks if task not in ordered]:
        done = {task.name for task in ordered}
        ordered += [task for task in rest if task.after is None or task.after in done or task.after not in names] or rest
    return ordered


def _with_kind(task: Task, column: pa.Array, location: str) -> Task:
    """The task with its kind and a note; ``column`` holds the labels that count."""
    given = task.kind if "kind" in task.model_fields_set else None
    inside = "row looked at" if task.space == "every row" else f"row looked at of its sample space ({task.space})"
    if not len(column) and given is not None and (given == "regression" or task.positive is None or task.negative is not None):
        return task.model_copy(update={"note": task.note or f"no {inside}"})
    if column.null_count == len(column):
        state = "is null in every" if len(column) else "has no"
        raise InputError(
            f"{location} {state} {inside}, so there is nothing to learn. Name another label"
            + (
                "."
                if len(column)
                else f", check the sample space and the weights, or say {task.name}:kind=binary or kind=regression."
            )
        )
    if task.positive is not None or pt.is_string(column.type) or pt.is_large_string(column.type):
        return _with_words(task, column, location)
    numbers = column.cast(pa.float64()) if pt.is_decimal(column.type) else column
    facts = SampledColumn(task.column, pa.chunked_array([numbers]), False)
    if facts.numbers is None:
        raise InputError(f"{location} holds {column.type}: {_examples(facts)}. Write 0 and 1, or a number.")
    if given == "binary" and not _is_binary(facts):
        raise InputError(
            f"{location} is binary, but holds {_examples(facts)}. Write 0 and 1, say {task.name}:kind=regression, or name a value "
            f"that means unknown: {task.name}:unknown=-1."
        )
    if given is None and not _is_binary(facts) and facts.is_whole and facts.distinct <= 3:
        raise InputError(
            f"{location} has {facts.distinct} values, among them {_examples(facts)}: neither 0 and 1 nor clearly a number. "
            f"Write 0 and 1 for a yes-or-no label, or say {task.name}:kind=regression to predict the number, "
            f"{task.name}:positive=VALUE for the value that means 1, {task.name}:unknown=VALUE for one that means unknown."
        )
    kind = given or ("binary" if _is_binary(facts) else "regression")
    return task.model_copy(update={"kind": kind, "note": task.note or _label_note(task, facts, kind)})


def _with_words(task: Task, column: pa.Array, location: str) -> Task:
    """A task whose label is two words, or 0 and 1 as text."""
    counts = {_word(entry["values"]): entry["counts"] for entry in column.drop_null().value_counts().to_pylist()}
    shown = ", ".join(repr(word)[:40] for word in list(counts)[:5])
    if task.kind == "regression":
        raise InputError(f"{location} holds {column.type}: {shown}. A regression needs numbers.")
    if task.positive is None:
        if {word.lower() for word in counts} <= set(TRUTH_WORDS):
            ones = sum(count for word, count in counts.items() if TRUTH_WORDS[word.lower()])
            return task.model_copy(update={"note": task.note or f"0 and 1 as text, {percent(ones / sum(counts.values()))} ones"})
        example = setting("task", f"{task.name}:positive={next(iter(counts))}") if len(counts) == 2 else ""
        raise InputError(
            f"{location} holds {column.type}: {shown}. "
            + (f"Say which word means 1, for example {example}." if example else "Write 0 and 1, or a number.")
        )
    rest = [word for word in counts if word != _word_of_type(task.positive, column)]
    if task.negative is None and len(rest) != 1:
        found = f"beside {', '.join(map(repr, rest[:5]))}" if rest else "alone"
        raise InputError(
            f"{location} holds {task.positive!r} {found}. Say with {task.name}:negative=WORD which value means 0, and with unknown "
            "which one means unknown."
        )
    negative = task.negative if task.negative is not None else rest[0]
    ones = counts.get(_word_of_type(task.positive, column), 0) / sum(counts.values())
    note = task.note or f"{task.positive} is 1 and {negative} is 0, {percent(ones)} ones"
    return task.model_copy(update={"negative": negative, "kind": "binary", "note": note})


def _word(value: object) -> str:
    """A label's value as a word of a task: a whole float without its point."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _word_of_type(word: str, column: pa.Array) -> str:
    """The word as :func:`_word` writes it for the column's type."""
    if pt.is_string(column.type) or pt.is_large_string(column.type):
        return word
    try:
        return _word(float(word))
    except ValueError:
        return word.lower()


def _examples(column: SampledColumn) -> str:
    """A few of the values that are not 0 or 1, cut short."""
    values = dict.fromkeys(repr(value.as_py())[:40] for value in column.known.slice(0, 200_000) if value.as_py() not in (0, 1))
    return ", ".join(list(values)[:5])


def _is_binary(column: SampledColumn) -> bool:
    return column.numbers is not None and bool(np.isin(column.numbers[~np.isnan(column.numbers)], (0, 1)).all())


def _label_note(task: Task, column: SampledColumn, kind: str) -> str:
    assert column.numbers is not None
    unknown = float(np.isnan(column.numbers).mean())
    rows = "the rows" if task.space == "every row" else "the rows of the sample space"
    rest = f", {percent(unknown)} of {rows} unknown" if unknown else ""
    with np.errstate(all="ignore"):
        ones = float(np.nanmean(column.numbers))
    if kind == "binary":
        return f"0 and 1, {percent(ones)} ones{rest}" if 0 < ones < 1 else f"always {ones:.0f} in the rows looked at{rest}"
    low, high = (number(end) for end in (np.nanmin(column.numbers), np.nanmax(column.numbers)))
    return f"numbers from {low} to {high}, {number(ones)} on average{rest}"
