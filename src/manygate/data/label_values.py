"""Reads a label column as numbers: true and false, words, and values that mean unknown.

Shape suffix: B rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.data.comparisons import ComparisonError, comparable, compare_with_constant
from manygate.errors import InputError, setting
from manygate.schema import Task
from manygate.text import count_of

TRUTH_WORDS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}
"""Text that is a binary label, in upper or lower case."""


@dataclass(frozen=True)
class LabelValues:
    """A label column as numbers. ``number_B`` is NaN where the label is unknown, or no label at all.

    ``bad_B`` is true for values that cannot be labels. Only those within the sample space matter: see :meth:`check`.
    """

    task: Task
    column: pa.Array
    number_B: np.ndarray
    bad_B: np.ndarray

    def check(self, inside_B: np.ndarray, location: str) -> None:
        """Raise an :class:`InputError` where a row within the sample space has a value that cannot be a label."""
        bad_B = self.bad_B & inside_B
        if not bad_B.any():
            return
        examples = list(dict.fromkeys(map(_shown, self.column.filter(pa.array(bad_B)).slice(0, 10_000).to_pylist())))
        values = count_of(int(bad_B.sum()), "value")
        raise InputError(
            f"{location}: label {self.task.column!r} of task {self.task.name!r} has {values} that cannot be labels "
            f"({', '.join(examples[:3])}), the first in row {int(bad_B.argmax())} of this part. "
            f"{_remedy(self.task, self.column.type, examples[0])}"
        )


def read_label(task: Task, batch: pa.RecordBatch, location: str) -> LabelValues:
    """Read a task's label. Raises :class:`InputError` where no row of the column's type can be a label.

    >>> batch = pa.record_batch({"bought": ["yes", "no", "?", None]})
    >>> task = Task(name="bought", positive="yes", negative="no", unknown="?")
    >>> read_label(task, batch, "log").number_B.tolist()
    [1.0, 0.0, nan, nan]
    """
    column = known_label(task, batch.column(task.column), location)
    if task.positive is not None:
        return _of_words(task, column, location)
    kind = column.type
    if pt.is_string(kind) or pt.is_large_string(kind):
        if task.kind != "binary":
            raise InputError(_not_numbers(task, column, location))
        return _of_truth_words(task, column)
    if not (pt.is_boolean(kind) or pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind) or pt.is_null(kind)):
        raise InputError(_not_numbers(task, column, location))
    number_B = _numbers(column)
    if task.kind == "binary":
        bad_B = ~np.isnan(number_B) & (number_B != 0) & (number_B != 1)
    elif task.trained_by == "log":
        bad_B = np.isinf(number_B) | (number_B < 0)
    else:
        bad_B = np.isinf(number_B)
    return LabelValues(task, column, number_B, bad_B)


def known_label(task: Task, column: pa.Array, location: str) -> pa.Array:
    """A label column with null for NaN and for the value that means unknown.

    >>> known_label(Task(name="buy", unknown=-1), pa.array([-1, 0, 1]), "log").to_pylist()
    [None, 0, 1]
    """
    column = comparable(column)
    if task.unknown is None:
        return column
    unknown = equals_word(column, task.unknown, f"{location}: task {task.name!r}: unknown")
    return pc.if_else(pc.fill_null(unknown, False), pa.scalar(None, column.type), column)


def equals_word(column: pa.Array, word: str, where: str) -> pa.Array:
    """Compare a column with a word of a task: text as it is, a number by its value, true and false also as 1 and 0.

    >>> equals_word(pa.array([1.0, 2.0, None]), "2", "task").to_pylist()
    [False, True, None]
    """
    if pt.is_null(column.type) or pt.is_string(column.type) or pt.is_large_string(column.type):
        return compare_with_constant(column, "==", word)
    try:
        number = Decimal({"true": "1", "false": "0"}.get(word.lower(), word.strip()))
        if number.is_nan() or (pt.is_boolean(column.type) and number not in (0, 1)):
            return pc.and_kleene(pc.is_null(column), None if number.is_nan() else False)
        return compare_with_constant(column, "==", number)
    except (InvalidOperation, ComparisonError):
        raise InputError(f"{where} is {word!r}, and the label column is {column.type}. Write one of its values.") from None


def _numbers(column: pa.Array) -> np.ndarray:
    """Numbers as float64, rounded where they have more digits; NaN for null."""
    if pt.is_boolean(column.type):
        column = column.cast(pa.int8())
    return pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)


def _of_words(task: Task, column: pa.Array, location: str) -> LabelValues:
    """Labels of two words."""
    assert task.positive is not None
    if task.negative is None:
        raise InputError(f"{location}: task {task.name!r}: positive is {task.positive!r}. Say with negative which word means 0.")
    is_one, is_zero = (
        pc.fill_null(equals_word(column, word, f"{location}: task {task.name!r}: {name}"), False).to_numpy(zero_copy_only=False)
        for name, word in (("positive", task.positive), ("negative", task.negative))
    )
    known_B = column.is_valid().to_numpy(zero_copy_only=False)
    number_B = np.where(is_one, 1.0, np.where(is_zero, 0.0, np.nan))
    return LabelValues(task, column, number_B, known_B & ~is_one & ~is_zero)


def _of_truth_words(task: Task, column: pa.Array) -> LabelValues:
    """Labels of text: 0, 1, true and false."""
    encoded = column.dictionary_encode()
    word_U = [TRUTH_WORDS.get(word.lower(), np.nan) for word in encoded.dictionary.to_pylist()]
    index_B = pc.fill_null(encoded.indices, len(word_U)).to_numpy(zero_copy_only=False)
    number_B = np.array([*word_U, np.nan])[index_B]
    return LabelValues(task, column, number_B, np.isnan(number_B) & column.is_valid().to_numpy(zero_copy_only=False))


def _not_numbers(task: Task, column: pa.Array, location: str) -> str:
    example = next((_shown(value) for value in column.drop_null().slice(0, 1).to_pylist()), "nothing")
    wanted = "0, 1, true, false or words" if task.kind == "binary" else "numbers"
    label = f"{location}: label {task.column!r} of task {task.name!r}"
    return f"{label} must hold {wanted}; it is {column.type}, for example {example}."


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)[:40]


def _remedy(task: Task, kind: pa.DataType, example: str) -> str:
    name = task.name
    if task.positive is not None:
        return f"Its words are {task.positive!r} for 1 and {task.negative!r} for 0; say with unknown which word means unknown."
    if task.kind != "binary":
        if task.trained_by == "log":
            return "A label with loss=log is a finite number of 0 or more, or null."
        return "A regression label is a finite number or null."
    if pt.is_string(kind) or pt.is_large_string(kind):
        return f"A binary label is 0, 1, true, false or null; for other words write {setting('task', f'{name}:positive=WORD')}."
    return (
        f"A binary label is 0, 1 or null. For a number write {setting('task', f'{name}:kind=regression')}; if {example} means "
        f"unknown, {setting('task', f'{name}:unknown={example}')}."
    )
