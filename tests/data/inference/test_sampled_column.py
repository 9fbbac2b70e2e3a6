"""The facts of a sampled column, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manygate.data.inference.sampled_column import SampledColumn, number, percent


def column(values: Any, name: str = "a", categorical: bool = False) -> SampledColumn:
    return SampledColumn(name, pa.chunked_array([values if isinstance(values, pa.Array) else pa.array(values)]), categorical)


@pytest.mark.parametrize(
    ("name", "plain"),
    [("userId", "user_id"), ("User ID", "user_id"), ("URLHash2", "url_hash_2"), ("price", "price"), ("hour-of.day", "hour_of_day")],
)
def test_a_name_in_snake_case(name: str, plain: str) -> None:
    assert column([1], name).plain == plain
    assert column([1], name).words == plain.split("_")


@pytest.mark.parametrize(
    ("name", "expected"), [("item_id", True), ("userid", True), ("user", True), ("Sku", True), ("price", False), ("idea", False)]
)
def test_names_of_ids(name: str, expected: bool) -> None:
    assert column([1], name).like_id is expected


def test_null_and_nan_are_not_known() -> None:
    numbers = column([1.5, None, float("nan"), 1.5, 2.0])
    assert numbers.known.to_pylist() == [1.5, 1.5, 2.0]
    assert (numbers.distinct, numbers.extent, numbers.is_whole) == (2, (1.5, 2.0), False)
    np.testing.assert_array_equal(numbers.numbers, [1.5, np.nan, np.nan, 1.5, 2.0])


def test_kinds_of_values() -> None:
    assert column([1.0, 2.0, None]).is_whole
    assert column([True, False]).is_plain
    assert not column([True, False]).is_number
    assert column(["a"]).is_plain
    assert column(["a"]).numbers is None
    assert not column([[1]]).is_plain
    np.testing.assert_array_equal(column([True, None]).numbers, [1.0, np.nan])


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([1, 5, 9], "whole numbers from 1 to 9"),
        ([0, 0, 3.5, None], "decimals from 0 to 3.5, 67 % zeros, 25 % missing"),
        ([True, False, None, True], "true or false, 67 % true, 25 % missing"),
        (["a", "b", "a"], "strings, 2 values"),
        ([["x"], ["x", "y"], None], "lists of strings, 1.5 on average, 33 % missing"),
        ([[1, 2]], "lists of whole numbers, 2.0 on average"),
    ],
)
def test_notes(values: Any, note: str) -> None:
    assert column(values).note == note


def test_categories_are_named_as_such() -> None:
    assert column(["a", "b"], categorical=True).note == "categories, 2 values"
    assert column([1, 2], categorical=True).note == "categories, 2 values"


def test_shares_and_numbers_in_words() -> None:
    assert [percent(share) for share in (0, 1, 0.5, 0.994, 0.001)] == ["0 %", "100 %", "50 %", "99 %", "0.1 %"]
    assert [percent(share) for share in (0.995, 0.99999)] == ["99.5 %", "99.9 %"]
    assert [number(value) for value in (2.0, 1234.5, 0.12345, 1e16)] == ["2", "1,234", "0.1235", "1e+16"]
