"""The columns of Hive partitions have the values that pandas, polars and DuckDB read, with one type in all files."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.data.formats.partitions import folder_values
from manygate.data.sources import open_sources
from manygate.data.table import open_table
from tables import LOG, problems, read, write_csv


def write_parts(folder: Path, names: list[str], table: pa.Table | None = None) -> Path:
    """A file in each of the folders; its rows are numbered by the folder."""
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"row": [k]}) if table is None else table, folder / name / "part-0.parquet")
    return folder


def column(folder: Path, name: str, **options: Any) -> dict[int, Any]:
    """The values of a column by the number of the row."""
    rows = read(open_table(folder, **options))
    return dict(zip(rows["row"], rows[name], strict=True))


@pytest.mark.parametrize(
    ("texts", "kind", "values"),
    [
        (["7", "10", "-3", "0"], pa.int64(), [7, 10, -3, 0]),
        (["07", "10"], pa.string(), ["07", "10"]),
        (["7", "x"], pa.string(), ["7", "x"]),
        (["1.5", "2.0"], pa.string(), ["1.5", "2.0"]),
        (["99999999999999999999", "1"], pa.string(), ["99999999999999999999", "1"]),
        (["2024-01-01", "2024-02-29"], pa.date32(), [date(2024, 1, 1), date(2024, 2, 29)]),
        (["2024-01-01", "latest"], pa.string(), ["2024-01-01", "latest"]),
        (["2024-01", "2024-02"], pa.string(), ["2024-01", "2024-02"]),
        (
            ["2024-01-01 10%3A00%3A00", "2024-01-02T11%3A30"],
            pa.timestamp("us"),
            [datetime(2024, 1, 1, 10), datetime(2024, 1, 2, 11, 30)],
        ),
        (["__HIVE_DEFAULT_PARTITION__", "7"], pa.int64(), [None, 7]),
        (["__HIVE_DEFAULT_PARTITION__", "2024-01-01"], pa.date32(), [None, date(2024, 1, 1)]),
        (["__HIVE_DEFAULT_PARTITION__"], pa.string(), [None]),
        (["", "CH"], pa.string(), [None, "CH"]),
        (["Z%C3%BCrich", "a%2Fb", "100%25", "a=b", "a b"], pa.string(), ["Zürich", "a/b", "100%", "a=b", "a b"]),
        (["true", "false"], pa.string(), ["true", "false"]),
    ],
    ids=str,
)
def test_values_of_folder_names(tmp_path: Path, texts: list[str], kind: pa.DataType, values: list[Any]) -> None:
    folder = write_parts(tmp_path / "log", [f"key={text}" for text in texts])
    assert open_table(folder).arrow_schema.field("key").type == kind
    assert column(folder, "key") == dict(enumerate(values))


def test_the_columns_are_those_that_others_read(tmp_path: Path) -> None:
    names = [f"dt=2024-01-0{day}/country={country}" for day in (1, 2) for country in ("CH", "a%20b")]
    folder = write_parts(tmp_path / "log", names)
    ours = pd.DataFrame(read(open_table(folder))).sort_values("row")
    ours["dt"] = ours["dt"].astype(str)
    for theirs in (
        pd.read_parquet(folder, partitioning="hive"),
        pl.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=True).to_pandas(),
        duckdb.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=True).df(),
    ):
        theirs = theirs.astype({"dt": str, "country": str}).sort_values("row")
        assert theirs["country"].tolist() == ours["country"].tolist()
        assert [text[:10] for text in theirs["dt"]] == ours["dt"].tolist()


def test_columns_alone_or_beside_others_in_batches_and_samples(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "log", ["dt=1", "dt=2"], pa.table({"row": range(5)}))
    table = open_table(folder)
    assert table.column_names == ("row", "dt")
    assert read(table, ["dt"], rows=2) == {"dt": [1] * 5 + [2] * 5}
    assert read(table, ["dt", "row"]) == {"dt": [1] * 5 + [2] * 5, "row": [*range(5)] * 2}
    assert table.sample(100)["dt"].to_pylist() == [1] * 5 + [2] * 5
    assert table.count() == 10
    assert table.warnings == ()


@pytest.mark.parametrize("pattern", ["", "*", "*/*.parquet", "**/*.parquet", "dt=2024-01-0[12]"])
def test_folders_globs_files_and_lists_give_the_same_columns(tmp_path: Path, pattern: str) -> None:
    folder = write_parts(tmp_path / "log", ["dt=2024-01-01", "dt=2024-01-02"])
    expected = {"row": [0, 1], "dt": [date(2024, 1, 1), date(2024, 1, 2)]}
    assert read(open_table(f"{folder}/{pattern}")) == expected
    files = sorted(str(file) for file in folder.rglob("*.parquet"))
    assert read(open_table(files)) == expected
    assert read(open_table(files[1])) == {"row": [1], "dt": [date(2024, 1, 2)]}


def test_a_relative_path_gives_the_columns_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_parts(tmp_path / "log", ["dt=7"]) / "dt=7")
    assert read(open_table("part-0.parquet")) == {"row": [0], "dt": [7]}


def test_a_column_of_the_file_stays_and_the_warning_names_it(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "log", ["dt=7"], pa.table({"row": [0], "dt": ["from the file"]}))
    table = open_table(folder)
    assert read(table) == {"row": [0], "dt": ["from the file"]}
    assert table.warnings_of(["row"]) == []
    [warning] = table.warnings_of(["dt"])
    assert "column 'dt' is in the files and in the names of their folders" in warning


def test_files_outside_the_partitions_are_named(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "log", ["dt=1", "dt=2", "."])
    [problem] = problems(folder)
    assert problem.startswith(f"{folder}/part-0.parquet: no folder above it is named dt=...")


def test_a_day_that_no_calendar_has_is_named(tmp_path: Path) -> None:
    [problem] = problems(write_parts(tmp_path / "log", ["dt=2024-02-30"]))
    assert "the folder dt=... has no date or time in its name" in problem


def test_text_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    folder = write_parts(tmp_path / "log", ["hour=7", "hour=10"])
    assert column(folder, "hour", types={"hour": pa.string()}) == {0: "7", 1: "10"}
    assert column(folder, "hour", types={"hour": pa.int64()}) == {0: 7, 1: 10}


def test_csv_files_have_the_columns_as_well(tmp_path: Path) -> None:
    for day in (1, 2):
        (tmp_path / f"_dt={day}").mkdir()
        write_csv(LOG, tmp_path / f"_dt={day}" / "log.csv")
    assert read(open_table(tmp_path))["_dt"] == [1] * 4 + [2] * 4


def test_a_partition_may_be_the_part_of_a_data_set(tmp_path: Path, settings: Any) -> None:
    folder = write_parts(tmp_path / "log", ["split=train/dt=1", "split=train/dt=2", "split=validation/dt=3", "split=test/dt=4"])
    named = {part: read(table)["dt"] for part, table in open_sources(folder, settings()).named()}
    assert named == {"train": [1, 2], "valid": [3], "test": [4]}


def test_names_are_decoded() -> None:
    assert folder_values("/log/a%20b=1%3D1/=x/y=/z.parquet") == {"a b": "1=1", "y": None}
