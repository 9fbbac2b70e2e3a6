"""Kinds that are asked for hold for tables of every format."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from manygate.config import CsvConfig
from manygate.data.table import open_table
from tables import problems, read

KINDS = CsvConfig(types={"sku": "text", "age": "number", "elsewhere": "text"})
ROWS = {"sku": [7, 8, None], "age": ["1", "NULL", "2.5"]}


def test_every_format(tmp_path: Path) -> None:
    expected = {"sku": ["7", "8", None], "age": [1.0, None, 2.5]}
    pq.write_table(pa.table(ROWS), tmp_path / "a.parquet")
    frames = (pa.table(ROWS), pl.DataFrame(ROWS), pd.DataFrame({**ROWS, "sku": pd.array([7, 8, None], "Int64")}))
    for source in (tmp_path / "a.parquet", *frames):
        table = open_table(source, csv=KINDS)
        assert [str(kind) for kind in table.arrow_schema.types] == ["string", "double"]
        assert read(table) == expected
    assert open_table(tmp_path / "a.parquet").arrow_schema.field("sku").type == pa.int64()


def test_values_that_do_not_fit_are_refused() -> None:
    [problem] = problems(pa.table({"sku": ["a"]}), csv=CsvConfig(types={"sku": "integer"}))
    assert "column 'sku' (string) cannot be read as integer" in problem
    assert "'a'" in problem
    [problem] = problems(pa.table({"sku": [[1]]}), csv=CsvConfig(types={"sku": "text"}))
    assert "cannot be read as text" in problem
