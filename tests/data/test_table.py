"""Every kind of source gives the same rows; every broken one gives an error that names the file, the column and the remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from manygate.data.table import open_table
from manygate.errors import InputError
from tables import LOG, ROWS, problems, read, write_csv, write_file


def write_stream(table: pa.Table, path: Path) -> None:
    with ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    "log.parquet": lambda t, p: pq.write_table(t, p, row_group_size=3, write_page_checksum=True),
    "LOG.PARQUET": pq.write_table,
    "log.arrow": write_file,
    "log.ipc": write_stream,
    "log.feather": feather.write_feather,
    **dict.fromkeys(
        ("log.csv", "log.csv.gz", "log.csv.bz2", "log.csv.zst", "log.tsv", "log.tsv.gz"),
        write_csv,
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_file_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    WRITERS[name](LOG, tmp_path / name)
    table = open_table(tmp_path / name)
    assert table.arrow_schema.types == [pa.string(), pa.float64(), pa.int64()]
    assert table.column_names == ("user", "price", "click")
    assert table.name == str(tmp_path / name)
    assert read(table) == ROWS == read(table, rows=1)
    assert read(table, ["click", "user"]) == {"click": ROWS["click"], "user": ROWS["user"]}
    assert table.count() == (None if name == "log.ipc" else 4)
    assert table.sample(100).to_pydict() == ROWS
    assert table.sample(2, ["click"]).num_rows == 2
    table.require_rows()


FRAMES = {
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas with an index": lambda: pd.DataFrame(ROWS, index=[5, 7, 9, 8]),
    "polars": lambda: pl.DataFrame(ROWS),
    "polars lazy": lambda: pl.LazyFrame(ROWS),
    "duckdb": lambda: duckdb.from_arrow(LOG),
    "pyarrow table": lambda: LOG,
    "pyarrow batch": lambda: LOG.to_batches()[0],
    "pyarrow reader": lambda: LOG.to_reader(),
    "table": lambda: open_table(LOG),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_dataframe_gives_the_same_rows(kind: str) -> None:
    source = FRAMES[kind]()
    table = open_table(source)
    assert read(table) == ROWS == read(table, rows=3)
    assert table.count() == 4
    assert table.arrow_schema.types == [pa.string(), pa.float64(), pa.int64()]
    assert kind.split()[0] in table.name or kind == "table"
    assert open_table(table) is table


def test_places_name_file_and_rows(tmp_path: Path) -> None:
    for part in (0, 1):
        pq.write_table(LOG, tmp_path / f"part-{part}.parquet", row_group_size=2)
    places = [place for place, _ in open_table(tmp_path).batches()]
    assert places == [f"{tmp_path}/part-{part}.parquet, rows {rows}" for part in (0, 1) for rows in ("0 to 1", "2 to 3")]


def test_files_are_unified(tmp_path: Path) -> None:
    pq.write_table(pa.table({"i": pa.array([1], pa.int8()), "f": pa.array([1], pa.float32()), "s": ["a"]}), tmp_path / "a.parquet")
    second = {"s": pa.array(["b"]).dictionary_encode(), "f": [2.5], "i": pa.array([2], pa.int32())}
    pq.write_table(pa.table(second), tmp_path / "b.parquet")
    pq.write_table(pa.table({"s": pa.nulls(1), "f": [3], "i": [3]}), tmp_path / "c.parquet")
    table = open_table(tmp_path)
    assert table.arrow_schema == pa.schema({"i": pa.int64(), "f": pa.float64(), "s": pa.string()})
    assert read(table) == {"i": [1, 2, 3], "f": [1.0, 2.5, 3.0], "s": ["a", "b", None]}


def test_values_that_do_not_fit_the_common_type(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": pa.array([2**63], pa.uint64())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": pa.array([-1], pa.int64())}), tmp_path / "b.parquet")
    [problem] = problems(tmp_path)
    assert "b.parquet, rows 0 to 0: column 'id'" in problem
    assert "-1" in problem
    assert "same type in every file" in problem


def test_files_that_differ_are_all_listed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"click": [1], "item": ["a"], "age": [3]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"clik": [1], "item": ["a"], "age": ["x"]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"click": [1], "age": [[1]]}), tmp_path / "c.parquet")
    found = problems(tmp_path)
    assert len(found) == 5
    assert "b.parquet: column 'click'" in found[0]
    assert "Did you mean 'clik'?" in found[0]
    assert "b.parquet: column 'age' is string" in found[1]
    assert "int64" in found[1]
    assert "Write one type" in found[1]
    assert "b.parquet: column 'clik' is not in" in found[2]
    assert "c.parquet: column 'item'" in found[3]
    assert "missing" in found[3]
    assert "c.parquet: column 'age' is list" in found[4]


def test_true_and_false_in_one_file_may_be_0_and_1_in_another(tmp_path: Path) -> None:
    for name, values in (("a", [True, None]), ("b", [1, 0]), ("c", [0.0, float("nan")])):
        pq.write_table(pa.table({"vip": values}), tmp_path / f"{name}.parquet")
    table = open_table(tmp_path)
    assert table.arrow_schema.field("vip").type == pa.bool_()
    assert pa.Table.from_batches(batch for _, batch in table.batches())["vip"].to_pylist() == [True, None, True, False, False, None]
    pq.write_table(pa.table({"vip": [0, 2]}), tmp_path / "d.parquet")
    with pytest.raises(InputError, match=r"d\.parquet, rows 0 to 1: column 'vip' .*2 is neither 0 nor 1"):
        list(open_table(tmp_path).batches())


def test_sample_reaches_the_end_of_a_long_log(tmp_path: Path) -> None:
    pq.write_table(pa.table({"row": range(10_000)}), tmp_path / "a.parquet", row_group_size=100)
    pq.write_table(pa.table({"row": range(10_000, 20_000)}), tmp_path / "b.parquet", row_group_size=5_000)
    rows = open_table(tmp_path).sample(1_000)["row"].to_pylist()
    assert 500 < len(rows) <= 1_000
    assert rows == sorted(set(rows))
    assert rows[0] == 0
    assert rows[-1] >= 15_000
    assert len(open_table(tmp_path).sample(20_000)) == 20_000


def test_require_lists_every_missing_column() -> None:
    with pytest.raises(InputError) as caught:
        open_table(LOG).require(["clik", "user", "zzz"], "label of task 'x'")
    first, second = caught.value.problems
    assert "column 'clik' (label of task 'x') is missing. Did you mean 'click'?" in first
    assert "Table (pyarrow): column 'zzz'" in second
    assert "Columns: user, price, click." in second
    with pytest.raises(InputError, match="'nope'"):
        next(open_table(LOG).batches(["nope"]))


def test_require_rows(tmp_path: Path) -> None:
    empty, full = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(LOG.slice(0, 0), empty)
    pq.write_table(LOG, full)
    open_table([empty, full]).require_rows()
    assert read(open_table([empty, full])) == ROWS
    (tmp_path / "c.csv").write_text("a,b\n")
    for source in (empty, tmp_path / "c.csv", LOG.slice(0, 0)):
        table = open_table(source)
        assert list(table.batches()) == []
        assert table.sample(5).num_rows == 0
        with pytest.raises(InputError, match=r"has columns but no rows. Check what wrote it"):
            table.require_rows()


def test_frames_that_cannot_be_tables() -> None:
    for source in (5, {"a": [1]}, [], None, [1, 2]):
        assert "Give a path, a list of paths or a dataframe" in problems(source)[0]
    [problem] = problems(pd.DataFrame({"mixed": [1, "x"]}, dtype=object))
    assert "DataFrame (pandas)" in problem
    assert "mixed" in problem
    assert "one type" in problem


def test_no_heavy_imports() -> None:
    code = "import sys, manygate.data.table; print({'torch', 'pandas', 'polars', 'duckdb'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
