"""A run continues on the log that it began with, and on no other; the error says how another log differs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import manygate as mg
from manygate.errors import InputError
from manygate.results.log_record import LOG_FILE, LogRecord
from manygate.runs.log_check import check_log

SMALL = {"task": ["click"], "epochs": 1, "experts": 2, "expert_hidden": "4", "threads": 1}


def rows(count: int = 300) -> pa.Table:
    numbers = range(count)
    return pa.table(
        {"item": [f"i{k % 7}" for k in numbers], "age": [k % 50 / 7 for k in numbers], "click": [k % 3 % 2 for k in numbers]}
    )


@pytest.fixture(scope="module")
def began(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a log and of a run on it."""
    folder = tmp_path_factory.mktemp("began")
    pq.write_table(rows(), folder / "log.parquet")
    mg.Ranker(**SMALL).fit(folder / "log.parquet", out=folder / "run", progress=False)
    return folder


def resume(began: Path, log: Any, **settings: Any) -> mg.Ranker:
    return mg.Ranker(**{**SMALL, **settings}).fit(log, out=began / "run", resume=True, progress=False)


SAME: dict[str, Any] = {
    "another path": lambda folder: shutil.copy(folder / "log.parquet", folder / "copy.parquet"),
    "CSV": lambda folder: (pa_csv.write_csv(rows(), folder / "log.csv"), folder / "log.csv")[1],
    "two files": lambda folder: [
        (pq.write_table(part, folder / f"{name}.parquet"), str(folder / f"{name}.parquet"))[1]
        for name, part in (("a", rows().slice(0, 123)), ("b", rows().slice(123)))
    ],
    "Arrow": lambda folder: rows(),
    "pandas": lambda folder: rows().to_pandas(),
    "a column of fractions that are whole": lambda folder: rows().set_column(2, "click", rows()["click"].cast(pa.float64())),
    "narrow numbers": lambda folder: rows().set_column(2, "click", rows()["click"].cast(pa.int8())),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_rows_in_any_form_are_the_run_s_log(began: Path, name: str) -> None:
    assert resume(began, SAME[name](began)).predict(rows()).num_rows == 300


def changed(column: int, values: list[Any]) -> pa.Table:
    return rows().set_column(column, rows().column_names[column], pa.array(values))


ages, items = rows()["age"].to_pylist(), rows()["item"].to_pylist()
OTHERS: dict[str, tuple[Any, str]] = {
    "a value": (changed(1, [*ages[:-1], 51.0]), r"column 'age' has other values"),
    "an id": (changed(0, ["other", *items[1:]]), r"column 'item' has other values"),
    "fewer rows": (rows(299), r"it has 299 rows, and had 300"),
    "a row twice": (pa.concat_tables([rows(), rows(1)]), r"it has 301 rows, and had 300"),
    "another order": (rows().take(pa.array(range(299, -1, -1))), r"columns item and age have other values, or rows in"),
    "another type": (changed(0, [int(item[1:]) for item in items]), r"column 'item' has the type whole number, and had text"),
    "a new feature": (rows().append_column("new", pa.array(ages)), r"column 'new' is new"),
    "without a feature": (rows().drop_columns(["age"]), r"column 'age' is missing"),
    "a null": (changed(1, [None, *ages[1:]]), r"column 'age' has other values"),
    "a frame": (pd.DataFrame({"item": items, "age": ages, "click": [1, 0] * 150}), r"column 'click' has other values"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_log_is_refused_with_the_difference(began: Path, name: str) -> None:
    log, text = OTHERS[name]
    with pytest.raises(InputError, match=text) as error:
        resume(began, log)
    assert str(began / "log.parquet") in str(error.value), "it names the log of training"
    assert "the run cannot continue on other rows" in str(error.value)


def test_a_run_that_has_not_begun_may_begin_on_any_log(tmp_path: Path) -> None:
    check_log(tmp_path, LogRecord.of([]))


def test_a_validation_table_counts(tmp_path: Path) -> None:
    for name, table in (("train", rows()), ("valid", rows(90)), ("other", rows(91))):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    mg.Ranker(**SMALL).fit(tmp_path / "train.parquet", tmp_path / "valid.parquet", out=tmp_path / "run", progress=False)
    assert [table.part for table in LogRecord.read(tmp_path / "run" / LOG_FILE).tables] == ["train", "valid"]
    with pytest.raises(InputError, match=r"other\.parquet \(trained on .*valid\.parquet\): it has 91 rows, and had 90"):
        mg.Ranker(**SMALL).fit(
            tmp_path / "train.parquet", tmp_path / "other.parquet", out=tmp_path / "run", resume=True, progress=False
        )
    with pytest.raises(InputError, match="the run had a table for valid, and there is none now"):
        mg.Ranker(**SMALL).fit(tmp_path / "train.parquet", out=tmp_path / "run", resume=True, progress=False)


def test_a_comparison_continues_on_its_own_log_alone(tmp_path: Path) -> None:
    pq.write_table(rows(), tmp_path / "log.parquet")
    keywords = {**SMALL, "architectures": "shared_bottom", "replicas": 1, "out": tmp_path / "c", "progress": False}
    mg.compare(tmp_path / "log.parquet", **keywords)
    pq.write_table(rows(320), tmp_path / "log.parquet")
    with pytest.raises(InputError, match="it has 320 rows, and had 300"):
        mg.compare(tmp_path / "log.parquet", resume=True, **keywords)
