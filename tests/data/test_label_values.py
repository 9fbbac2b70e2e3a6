"""A label column as numbers: types, words, values that mean unknown, and the check within the sample space."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manygate.data.label_values import known_label, read_label
from manygate.errors import InputError
from manygate.schema import Task

NAN = float("nan")
WORDS = {"positive": "yes", "negative": "no"}


def read(task: Task, column: pa.Array) -> list[float]:
    batch = pa.record_batch({"y": column})
    values = read_label(task, batch, "log")
    assert not values.bad_B.any()
    return values.number_B.tolist()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, 0, None], pa.int8()),
        pa.array([1, 0, None], pa.uint64()),
        pa.array([1.0, 0.0, NAN]),
        pa.array([1.0, 0.0, None], pa.float16()),
        pa.array([True, False, None]),
        pa.array([Decimal("1.0"), Decimal("0.0"), None]),
        pa.array(["1", "0", None]),
        pa.array(["true", "FALSE", None]),
        pa.array(["1.0", "0.0", None], pa.large_string()),
        pa.array(["True", "False", None]).dictionary_encode(),
        pa.array(["1", "0", None], pa.string_view()),
    ],
    ids=lambda column: str(column.type),
)
def test_binary_labels_of_every_type_are_one_label(column: pa.Array) -> None:
    np.testing.assert_array_equal(read(Task(name="y"), column), [1, 0, NAN])


@pytest.mark.parametrize(
    ("settings", "column"),
    [
        ({"unknown": -1}, pa.array([1, 0, -1])),
        ({"unknown": "-1"}, pa.array([1.0, 0.0, -1.0])),
        ({"unknown": "-1"}, pa.array(["1", "0", "-1"])),
        ({"unknown": 9}, pa.array([True, False, None])),
        ({"unknown": "inf"}, pa.array([1.0, 0.0, float("inf")])),
        (WORDS, pa.array(["yes", "no", None])),
        (WORDS | {"unknown": "n/a, other"}, pa.array(["yes", "no", "n/a, other"])),
        ({"positive": 2, "negative": 1}, pa.array([2, 1, None])),
        ({"positive": 1, "negative": -1, "unknown": 0}, pa.array([1.0, -1.0, 0.0])),
        ({"positive": "false", "negative": "true"}, pa.array([False, True, None])),
        (WORDS, pa.nulls(3)),
    ],
)
def test_words_and_values_that_mean_unknown(settings: dict[str, Any], column: pa.Array) -> None:
    expected = [NAN] * 3 if pa.types.is_null(column.type) else [1, 0, NAN]
    np.testing.assert_array_equal(read(Task(name="y", **settings), column), expected)


def test_a_regression_reads_numbers() -> None:
    task = Task(name="y", kind="regression", unknown=-1)
    np.testing.assert_array_equal(read(task, pa.array([2.5, None, -1.0])), [2.5, NAN, NAN])
    np.testing.assert_array_equal(read(task, pa.array([2**60 + 1, -1])), [2.0**60, NAN])
    np.testing.assert_array_equal(read(task, pa.array([True, False])), [1, 0])


@pytest.mark.parametrize(
    ("task", "column", "problem"),
    [
        (Task(name="y"), pa.array([[1]]), "must hold 0, 1, true, false or words; it is list"),
        (Task(name="y", kind="regression"), pa.array(["a"]), r"must hold numbers; it is string, for example 'a'"),
        (Task(name="y", unknown="?"), pa.array([1]), r"unknown is '\?', and the label column is int64"),
        (Task(name="y", **WORDS), pa.array([1]), "positive is 'yes', and the label column is int64"),
        (Task(name="y", positive="yes"), pa.array(["yes"]), "Say with negative which word means 0"),
    ],
)
def test_columns_that_are_no_label(task: Task, column: pa.Array, problem: str) -> None:
    with pytest.raises(InputError, match=f"log: .*task 'y'.*{problem}"):
        read_label(task, pa.record_batch({"y": column}), "log")


@pytest.mark.parametrize(
    ("task", "column", "problem"),
    [
        (Task(name="y"), pa.array([0, 2, 1]), r"\(2\), the first in row 1.*kind=regression.*y:unknown=2"),
        (Task(name="y"), pa.array(["0", "maybe", "1"]), r"\('maybe'\), the first in row 1.*y:positive=WORD"),
        (Task(name="y", **WORDS), pa.array(["yes", "No", "no"]), r"\('No'\).*Its words are 'yes' for 1 and 'no' for 0"),
        (Task(name="y", kind="regression"), pa.array([0, float("inf"), 1]), r"\(inf\), .* row 1.*a finite number or null"),
        (Task(name="y", kind="regression", loss="log"), pa.array([0, -1.0, 1]), r"\(-1\).*loss=log is a finite number of 0"),
    ],
)
def test_only_values_within_the_sample_space_are_checked(task: Task, column: pa.Array, problem: str) -> None:
    values = read_label(task, pa.record_batch({"y": column}), "log.csv")
    values.check(np.array([True, False, True]), "log.csv")
    with pytest.raises(InputError, match=rf"log.csv: label 'y' of task 'y' has 1 value .*{problem}"):
        values.check(np.array([True, True, False]), "log.csv")


def test_a_value_that_means_unknown_is_null() -> None:
    assert known_label(Task(name="y"), pa.array([1.0, NAN]), "log").to_pylist() == [1.0, None]
    assert known_label(Task(name="y", unknown="a"), pa.array(["a", "b", None]), "log").to_pylist() == [None, "b", None]
