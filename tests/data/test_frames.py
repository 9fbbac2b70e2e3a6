"""Predictions come back in the kind of frame that the rows came in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from manygate.data.frames import like_source
from manygate.data.table import open_table

SCORES = pa.table({"click": [0.25, 0.5]})


@pytest.mark.parametrize("source", ["log.parquet", Path("log.parquet"), ["a.csv", "b.csv"], pa.table({"x": [1, 2]})])
def test_a_path_or_an_arrow_table_gives_an_arrow_table(source: Any) -> None:
    assert like_source(SCORES, source) is SCORES
    assert like_source(SCORES, open_table(pa.table({"x": [1, 2]}))) is SCORES


def test_pandas_keeps_its_index_where_the_rows_match() -> None:
    scores = like_source(SCORES, pd.DataFrame({"x": [1, 2]}, index=["a", "b"]))
    pd.testing.assert_frame_equal(scores, pd.DataFrame({"click": [0.25, 0.5]}, index=["a", "b"]))
    longer = like_source(SCORES, pd.DataFrame({"x": [1, 2, 3]}, index=["a", "b", "c"]))
    assert longer.index.tolist() == [0, 1]


def test_polars_stays_eager_or_lazy() -> None:
    expected = pl.DataFrame({"click": [0.25, 0.5]})
    assert like_source(SCORES, pl.DataFrame({"x": [1, 2]})).equals(expected)
    lazy = like_source(SCORES, pl.LazyFrame({"x": [1, 2]}))
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(expected)


def test_duckdb_gives_a_relation() -> None:
    duckdb = pytest.importorskip("duckdb")
    relation = like_source(SCORES, duckdb.from_arrow(pa.table({"x": [1, 2]})))
    assert relation.fetchall() == [(0.25,), (0.5,)]
