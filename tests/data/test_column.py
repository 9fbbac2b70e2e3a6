"""A column's values as ids and as numbers, with values by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from manygate.data.column import as_ids, as_numbers, beyond_range, fits, type_family, type_problem
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
    ("given", "fitted", "expected"),
    [
        (pa.int8(), pa.int64(), True),
        (pa.float64(), pa.int64(), True),
        (pa.null(), pa.string(), True),
        (pa.string(), pa.large_string(), True),
        (pa.list_(pa.int8()), pa.list_(pa.float64()), True),
        (pa.string(), pa.int64(), False),
        (pa.bool_(), pa.int64(), False),
        (pa.list_(pa.string()), pa.list_(pa.int64()), False),
    ],
)
def test_types_that_may_stand_for_each_other(given: pa.DataType, fitted: pa.DataType, expected: bool) -> None:
    assert fits(given, fitted) is expected


def test_a_type_that_a_feature_cannot_have_names_the_kind_that_can() -> None:
    assert type_problem("a", "sparse", pa.int8(), "log") is None
    assert type_problem("a", "bag", pa.list_(pa.string()), "log") is None
    assert "Make it 'bag' in the schema" in str(type_problem("a", "dense", pa.list_(pa.int8()), "log"))
    assert "Make it 'sparse' in the schema" in str(type_problem("a", "dense", pa.string(), "log"))
    assert "Move it to 'ignored' in the schema" in str(type_problem("a", "sparse", pa.date32(), "log"))


def test_ids_take_the_type_of_training() -> None:
    assert as_ids(pa.array([7.0, NAN, None]), pa.int16(), "a", "log").to_pylist() == [7, None, None]
    assert as_ids(pa.array([3], pa.uint8()), pa.uint64(), "a", "log").type == pa.uint64()
    assert as_ids(pa.nulls(2), pa.string(), "a", "log").to_pylist() == [None, None]
    with pytest.raises(InputError, match=r"log: column 'a' holds ids that do not fit int64.*as in training"):
        as_ids(pa.array([0.5]), pa.int64(), "a", "log")
    with pytest.raises(InputError, match="log: column 'a' is string, but was int64 in training"):
        as_ids(pa.array(["7"]), pa.int64(), "a", "log")


@pytest.mark.parametrize(
    ("values", "fitted", "beyond"),
    [
        (pa.array([1, 2**63, None], pa.uint64()), pa.int64(), [False, True, False]),
        (pa.array([-1, 0, None], pa.int8()), pa.uint64(), [True, False, False]),
        (pa.array([2.0**63, -(2.0**63), NAN]), pa.int64(), [True, False, False]),
        (pa.array([2.0**64, -1.0, 0.0]), pa.uint64(), [True, True, False]),
    ],
)
def test_ids_that_training_cannot_have_seen(values: pa.Array, fitted: pa.DataType, beyond: list[bool]) -> None:
    mask_N = beyond_range(values, fitted)
    assert mask_N is not None
    assert mask_N.tolist() == beyond


def test_where_every_id_is_in_range_there_is_no_mask() -> None:
    assert beyond_range(pa.array([1, 2], pa.uint64()), pa.int64()) is None
    assert beyond_range(pa.array([-1]), pa.int64()) is None
    assert beyond_range(pa.array(["a"]), pa.string()) is None


def test_numbers_are_float64_and_null_is_nan() -> None:
    np.testing.assert_array_equal(as_numbers(pa.array([1, None], pa.int8()), "a", "log"), [1.0, NAN])
    np.testing.assert_array_equal(as_numbers(pa.array([True, None, False]), "a", "log"), [1.0, NAN, 0.0])
    np.testing.assert_array_equal(as_numbers(pa.nulls(1), "a", "log"), [NAN])
    with pytest.raises(InputError, match="log: column 'a' must hold numbers; it is string, for example 'x'"):
        as_numbers(pa.array([None, "x"]), "a", "log")
