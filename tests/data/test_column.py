"""A column's values as ids and as numbers, with values by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manygate.data.column import (
    as_ids,
    as_numbers,
    id_type,
    rounded_id,
    rounding_warning,
    type_change,
    type_family,
    type_problem,
)
from manygate.errors import InputError

NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        (pa.uint16(), "int"),
        (pa.decimal128(10, 2), "float"),
        (pa.float16(), "float"),
        (pa.string_view(), "string"),
        (pa.bool_(), "bool"),
        (pa.dictionary(pa.int8(), pa.large_string()), "string"),
        (pa.large_list(pa.float32()), "list of float"),
        (pa.date32(), "date32[day]"),
    ],
)
def test_types_have_families(kind: pa.DataType, family: str) -> None:
    assert type_family(kind) == family


@pytest.mark.parametrize(
    ("given", "fitted", "ids", "accepted"),
    [
        (pa.int8(), pa.int64(), True, True),
        (pa.float64(), pa.int64(), True, True),
        (pa.null(), pa.string(), True, True),
        (pa.string(), pa.large_string(), True, True),
        (pa.list_(pa.int8()), pa.list_(pa.float64()), True, True),
        (pa.list_(pa.null()), pa.list_(pa.float64()), True, True),
        (pa.string(), pa.int64(), True, True),
        (pa.int64(), pa.string(), True, True),
        (pa.date32(), pa.string(), True, True),
        (pa.list_(pa.string()), pa.list_(pa.int64()), True, True),
        (pa.list_(pa.string()), pa.string(), True, False),
        (pa.bool_(), pa.int64(), True, True),
        (pa.int64(), pa.bool_(), True, True),
        (pa.string(), pa.int64(), False, False),
        (pa.bool_(), pa.int64(), False, True),
        (pa.float64(), pa.bool_(), False, True),
        (pa.date32(), pa.string(), False, False),
    ],
)
def test_types_that_may_stand_for_each_other(given: pa.DataType, fitted: pa.DataType, ids: bool, accepted: bool) -> None:
    problem = type_change("a", given, fitted, pa.array([0, 1]) if ids else None, "log")
    assert (problem is None) is accepted
    if problem is not None:
        assert problem.startswith(f"log: column 'a' is {given}, but was {fitted} in training.")
        assert problem.endswith("Write it with its old type.")


def test_true_and_false_stand_for_ids_that_are_0_and_1_alone() -> None:
    for ids, accepted in (([0, 1], True), ([1], True), ([0, 1, 2], False), ([5, 7], False)):
        problem = type_change("a", pa.bool_(), pa.int64(), pa.array(ids), "log")
        assert (problem is None) is accepted
    assert "True and false stand for 1 and 0 alone. Write it with its old type" in str(problem)


def test_a_type_that_a_feature_cannot_have_names_the_kind_that_can() -> None:
    assert type_problem("a", "sparse", pa.int8(), "log") is None
    assert type_problem("a", "bag", pa.list_(pa.string()), "log") is None
    assert "Make it 'bag' in the schema" in str(type_problem("a", "dense", pa.list_(pa.int8()), "log"))
    assert "Make it 'sparse' in the schema" in str(type_problem("a", "dense", pa.string(), "log"))
    assert "Move it to 'ignored' in the schema" in str(type_problem("a", "sparse", pa.date32(), "log"))


def ids_of(values: pa.Array, fitted: pa.DataType) -> list[Any]:
    """The ids, None for null, "unseen" for a value that training cannot have seen."""
    ids, unseen_N = as_ids(values, fitted, "a", "log")
    assert ids.type == id_type(fitted)
    mask = [False] * len(ids) if unseen_N is None else unseen_N.tolist()
    return ["unseen" if unseen else value for value, unseen in zip(ids.to_pylist(), mask, strict=True)]


CASES: list[tuple[pa.Array, pa.DataType, list[Any]]] = [
    (pa.array([7.0, NAN, None, -0.0]), pa.int16(), [7, None, None, 0]),
    (pa.array([3], pa.uint8()), pa.uint64(), [3]),
    (pa.nulls(2), pa.string(), [None, None]),
    (pa.array(["7", "-7", "0", None]), pa.int64(), [7, -7, 0, None]),
    (pa.array(["07", "-0", "00", "-07"]), pa.int64(), ["unseen"] * 4),
    (pa.array(["9223372036854775807", "9223372036854775808"]), pa.int64(), [2**63 - 1, "unseen"]),
    (pa.array(["18446744073709551615", "18446744073709551616", "-1"]), pa.uint64(), [2**64 - 1, "unseen", "unseen"]),
    (pa.array([7, None, -7]), pa.string(), ["7", None, "-7"]),
    (pa.array([2**64 - 1], pa.uint64()), pa.string(), [str(2**64 - 1)]),
    (pa.array([7.0, 7.5, NAN, -0.0, 2.0**53 - 1]), pa.string(), ["7", "7.5", None, "0", str(2**53 - 1)]),
    (pa.array([19724], pa.date32()), pa.string(), ["2024-01-02"]),
    (pa.array(["7", "7.0", "7.5", "-0.5", "0"]), pa.float64(), [7.0, 7.0, 7.5, -0.5, 0.0]),
    (pa.array(["07", "7.50", ".5", "-0"]), pa.float64(), ["unseen"] * 4),
    (pa.array([7, -7]), pa.float64(), [7.0, -7.0]),
    (pa.array([0.5, NAN], pa.float32()), pa.float64(), [0.5, None]),
    (pa.array([True, None]), pa.bool_(), [True, None]),
    (pa.array([1, 0, None]), pa.bool_(), [True, False, None]),
    (pa.array([1.0, 0.0, NAN]), pa.bool_(), [True, False, None]),
    (pa.array([True, False, None]), pa.int8(), [1, 0, None]),
    (pa.array([True, False, None]), pa.uint64(), [1, 0, None]),
    (pa.array([True, False, None]), pa.float32(), [1.0, 0.0, None]),
    (pa.array([1, 2**63, None], pa.uint64()), pa.int64(), [1, "unseen", None]),
    (pa.array([-1, 0, None], pa.int8()), pa.uint64(), ["unseen", 0, None]),
    (pa.array([2.0**63, -(2.0**70), NAN, float("inf")]), pa.int64(), ["unseen", "unseen", None, "unseen"]),
    (pa.array([2.0**64, -1.0, 0.0]), pa.uint64(), ["unseen", "unseen", 0]),
]


@pytest.mark.parametrize(("values", "fitted", "ids"), CASES)
def test_a_value_is_the_same_id_in_every_type(values: pa.Array, fitted: pa.DataType, ids: list[Any]) -> None:
    assert ids_of(values, fitted) == ids
    for k in range(len(values)):
        assert ids_of(values.slice(k, 1), fitted) == ids[k : k + 1], "the other rows of a batch do not matter"


@pytest.mark.parametrize(
    ("values", "fitted"),
    [
        (pa.array([2.0**53]), pa.int64()),
        (pa.array([-(2.0**63)]), pa.int64()),
        (pa.array([2.0**63]), pa.uint64()),
        (pa.array([2.0**53]), pa.string()),
        (pa.array([2.0**24], pa.float32()), pa.int64()),
        (pa.array([2.0**24], pa.float32()), pa.string()),
        (pa.array([2.0**24], pa.float32()), pa.float64()),
        (pa.array([2.0**24]), pa.float32()),
        (pa.array([2**53]), pa.float64()),
        (pa.array([2**24]), pa.float32()),
        (pa.array([-(2**63)]), pa.float64()),
        (pa.array([2**64 - 1], pa.uint64()), pa.float64()),
        (pa.array(["9007199254740993"]), pa.float64()),
    ],
)
def test_a_number_that_may_stand_for_several_ids_is_refused(values: pa.Array, fitted: pa.DataType) -> None:
    with pytest.raises(InputError, match=r"log: column 'a' holds ids that do not fit .*\d may stand for several ids, since"):
        as_ids(values, fitted, "a", "log")


WORDS = ("alice", "", "+7", "7.0", " 7", "7\n", "\N{FULLWIDTH DIGIT SEVEN}", "1e3")


@pytest.mark.parametrize(
    ("values", "fitted", "message"),
    [
        *((pa.array(["7", word]), pa.int64(), "holds ids that do not fit int64: '.*' is no whole number") for word in WORDS),
        *(
            (pa.array(["7", word]), pa.float64(), "holds ids that do not fit double: '.*' is no number")
            for word in ("1e3", "x", "")
        ),
        (pa.array([0.5]), pa.int64(), r"holds ids that do not fit int64.*as in training"),
        (pa.array([2]), pa.bool_(), r"holds ids that do not fit bool: 2 is neither 0 nor 1"),
        (pa.array([0.0, 0.5]), pa.bool_(), r"holds ids that do not fit bool: 0.5 is neither 0 nor 1"),
        (pa.array([True]), pa.string(), r"is bool, but was string in training. True and false stand for 1 and 0 alone"),
        (pa.array([0], pa.timestamp("s")), pa.string(), r"is timestamp\[s\], but was string"),
    ],
)
def test_a_value_that_is_no_id_of_training_is_explained(values: pa.Array, fitted: pa.DataType, message: str) -> None:
    with pytest.raises(InputError, match=f"log: column 'a' {message}"):
        as_ids(values, fitted, "a", "log")


def test_numbers_too_large_to_be_exact_ids_give_an_example() -> None:
    assert rounded_id(pa.array([7.0, None, NAN, float("inf"), 2.0**53 - 1])) is None
    assert rounded_id(pa.array([7.0, -(2.0**53)])) == -(2.0**53)
    assert rounded_id(pa.array([2.0**24], pa.float32())) == 2.0**24
    assert rounded_id(pa.array([2.0**24])) is None
    assert rounded_id(pa.array([2**60])) is None
    assert "From 16,777,216 on, float does not hold every whole number" in rounding_warning("a", pa.float32(), 2.0**25)


def test_numbers_are_float64_and_null_is_nan() -> None:
    np.testing.assert_array_equal(as_numbers(pa.array([1, None], pa.int8()), "a", "log"), [1.0, NAN])
    np.testing.assert_array_equal(as_numbers(pa.array([True, None, False]), "a", "log"), [1.0, NAN, 0.0])
    np.testing.assert_array_equal(as_numbers(pa.array([2**60 + 1, -(2**63)]), "a", "log"), [2.0**60, -(2.0**63)])
    np.testing.assert_array_equal(as_numbers(pa.nulls(1), "a", "log"), [NAN])
    with pytest.raises(InputError, match="log: column 'a' must hold numbers; it is string, for example 'x'"):
        as_numbers(pa.array([None, "x"]), "a", "log")
