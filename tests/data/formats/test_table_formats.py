"""A table of Delta, Iceberg or Hudi is refused by name, wherever a path leads into it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.data.table import open_table
from tables import problems

FORMATS = {
    "Delta": "_delta_log/00000000000000000000.json",
    "Iceberg": "metadata/00000-a.metadata.json",
    "Hudi": ".hoodie/hoodie.properties",
}


def write_table_of(kind: str, folder: Path) -> Path:
    for name in ("dt=1/part-0.parquet", "dt=2/part-0.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"row": [1]}), folder / name)
    (folder / FORMATS[kind]).parent.mkdir(parents=True)
    (folder / FORMATS[kind]).write_text("{}")
    return folder


@pytest.mark.parametrize("path", ["table", "table/dt=1", "table/*", "table/**/*.parquet", "table/dt=1/part-0.parquet", "."])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_path_into_a_table_is_refused(tmp_path: Path, kind: str, path: str) -> None:
    folder = write_table_of(kind, tmp_path / "table")
    [problem] = problems(tmp_path / path)
    assert problem.startswith(f"{folder}: a{'n' if kind == 'Iceberg' else ''} {kind} table. Read it with ")
    assert "give the rows as a dataframe, or write them as Parquet to another folder" in problem


def test_the_remedy_names_the_newest_metadata_of_iceberg(tmp_path: Path) -> None:
    folder = write_table_of("Iceberg", tmp_path / "table")
    (folder / "metadata/00001-b.metadata.json").write_text("{}")
    assert f"StaticTable.from_metadata('{folder}/metadata/00001-b.metadata.json')" in problems(folder)[0]
    (tmp_path / "delta").mkdir()
    assert f"DeltaTable('{tmp_path}/delta')" in problems(write_table_of("Delta", tmp_path / "delta"))[0]


def test_a_table_without_files_is_refused_before_its_emptiness(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    assert "a Delta table" in problems(tmp_path)[0]


def test_a_folder_that_only_looks_a_little_like_one_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"row": [1]}), tmp_path / "a.parquet")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "columns.json").write_text("{}")
    assert open_table(tmp_path).count() == 1
