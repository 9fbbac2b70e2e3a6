"""Every dataframe becomes an Arrow table with the values that its owner sees, or one error with column and remedy."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from manygate.data.table import open_table
from tables import problems, read

BASE = pd.DataFrame({"price": [1.5, 2.5, 3.5]})


@pytest.mark.parametrize(
    ("index", "column"),
    [
        (pd.Index(["a", "b", "a"], name="user"), ["a", "b", "a"]),
        (pd.Index([7, 7, 9], name="user"), [7, 7, 9]),
        (pd.CategoricalIndex(["a", "b", "a"], name="user"), ["a", "b", "a"]),
        (pd.period_range("2024-01", periods=3, freq="M", name="month"), ["2024-01", "2024-02", "2024-03"]),
        (pd.interval_range(0, 3, name="bin"), ["(0, 1]", "(1, 2]", "(2, 3]"]),
    ],
    ids=str,
)
def test_a_named_index_is_a_column_as_in_the_file_of_it(tmp_path: Path, index: pd.Index, column: list[Any]) -> None:
    frame = BASE.set_index(index)
    rows = read(open_table(frame))
    assert rows == {"price": [1.5, 2.5, 3.5], str(index.name): column}
    frame.to_parquet(tmp_path / "log.parquet")
    assert read(open_table(tmp_path / "log.parquet")) == rows


def test_of_several_levels_the_named_ones_are_columns() -> None:
    frame = BASE.set_index([pd.Index(["a", "b", "c"], name="user"), pd.Index([1, 2, 3]), pd.Index([4, 5, 6], name="item")])
    assert read(open_table(frame)) == {"price": [1.5, 2.5, 3.5], "user": ["a", "b", "c"], "item": [4, 5, 6]}


def test_a_column_stays_where_the_index_has_its_name_and_an_unnamed_index_is_none() -> None:
    frame = BASE.assign(user=["a", "b", "c"])
    assert open_table(frame.set_index("user", drop=False)).column_names == ("price", "user")
    assert open_table(BASE.set_index(pd.Index(["a", "b", "c"]))).column_names == ("price",)
    assert open_table(BASE).column_names == ("price",)


def test_the_frame_itself_stays_as_it_was() -> None:
    frame = BASE.assign(flag=pd.arrays.SparseArray([0, 1, 0])).set_index(pd.Index(["a", "b", "c"], name="user"))
    before = frame.copy()
    open_table(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("values", [[0, 1, 0], [np.nan, 1.5, np.nan], [True, False, True], [0, 0, 0]])
def test_sparse_columns_are_read_as_their_values(values: list[Any]) -> None:
    dense = read(open_table(pd.DataFrame({"x": values})))
    assert read(open_table(pd.DataFrame({"x": pd.arrays.SparseArray(values)}))) == dense


def test_columns_of_get_dummies() -> None:
    letters = pd.Series(["a", "b", "a"])
    sparse, dense = (pd.get_dummies(letters, prefix="is", sparse=sparse) for sparse in (True, False))
    assert read(open_table(sparse)) == read(open_table(dense)) == {"is_a": [True, False, True], "is_b": [False, True, False]}


def test_bins_of_pandas_are_categories_named_as_pandas_names_them() -> None:
    bins = pd.cut(pd.Series([1.0, 2.0, 30.0, np.nan]), 3)
    table = open_table(pd.DataFrame({"bin": bins}))
    assert read(table)["bin"] == [None if pd.isna(value) else str(value) for value in bins]
    assert table.categorical == {"bin"}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", [pl.Int128, pl.UInt128])
def test_whole_numbers_of_128_bits(lazy: bool, kind: Any) -> None:
    frame = pl.DataFrame({"a": pl.Series([1, None, 2**62], dtype=kind), "b": ["x", "y", "z"]})
    assert read(open_table(frame.lazy() if lazy else frame)) == {"a": [1, None, 2**62], "b": ["x", "y", "z"]}


def test_decimals_and_wide_numbers_of_duckdb() -> None:
    relation = duckdb.sql(
        "select 7::hugeint as a, 5::uhugeint as b, [9::hugeint] as c, 2.50::decimal(10, 2) as d, 3::decimal(30, 0) as e"
    )
    assert read(open_table(relation)) == {"a": [7], "b": [5], "c": [[9]], "d": [2.5], "e": [3]}


REMEDY = "Write ids as text and amounts as float64"
TOO_WIDE: dict[str, tuple[Any, str]] = {
    "objects of pandas": (pd.DataFrame({"a": [2**70, 1]}), "column 'a' holds whole numbers beyond 64 bits"),
    "decimals of pandas": (
        pd.DataFrame({"a": [Decimal(2**70), Decimal(1)]}),
        "column 'a' (decimal128(22, 0)) cannot be read as int64",
    ),
    "Int128": (pl.DataFrame({"a": pl.Series([2**70], dtype=pl.Int128)}), "column 'a' (decimal128(38, 0)) cannot be read as int64"),
    "Int128 beyond decimals": (pl.DataFrame({"a": pl.Series([2**126], dtype=pl.Int128)}), "column 'a' (decimal128(38, 0))"),
    "lists of Int128": (pl.DataFrame({"a": pl.Series([[1]], dtype=pl.List(pl.Int128))}), "column 'a' is List(Int128)"),
    "Python objects": (pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}), "column 'a' is Object"),
    "Arrow": (
        pa.table({"a": pa.array([Decimal(2**64)], pa.decimal128(38, 0))}),
        "column 'a' (decimal128(38, 0)) cannot be read as int64",
    ),
    "hugeint": (duckdb.sql("select (2::hugeint ** 70)::hugeint as a"), "column 'a' (decimal128(38, 0)) cannot be read as int64"),
}


@pytest.mark.parametrize("kind", TOO_WIDE)
def test_whole_numbers_beyond_64_bits_name_column_and_remedy(kind: str) -> None:
    source, words = TOO_WIDE[kind]
    [problem] = problems(source)
    assert words in problem
    assert REMEDY in problem


def test_every_column_that_arrow_cannot_take_is_listed() -> None:
    frame = pd.DataFrame({"good": [1, 2], "mixed": [1, "x"], "huge": [2**70, 1], "complex": [1j, 2]})
    found = problems(frame)
    assert [problem.split("'")[1] for problem in found] == ["mixed", "huge", "complex"]
    assert all(problem.startswith("DataFrame (pandas): column ") for problem in found)
