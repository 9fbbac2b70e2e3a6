"""The same rows give the same ids and numbers, whatever file or frame holds them, in training and at serving."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoders import KEEP_ALL, schema_of
from manygate.data.encode import Encoder
from manygate.data.fit import fit_encoder
from manygate.data.rows import Rows
from manygate.data.table import open_table
from manygate.schema import Feature

SCHEMA = schema_of(Feature(name="id", kind="sparse"), Feature(name="x", kind="dense"), group="id")
Values = list[Any]


def _csv(path: Path, ids: Values, numbers: Values, empty: str = "", **form: Any) -> Path:
    """A CSV file in which the empty text is quoted and a missing value is nothing."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n", **form)
    writer.writerow(["id", "x", "click"])
    for n, (value, number) in enumerate(zip(ids, numbers, strict=True)):
        writer.writerow([empty if value is None else "\0" if value == "" else value, "" if number is None else repr(number), n % 2])
    path.write_text(text.getvalue().replace("\0", '""'), encoding="utf-8", newline="")
    return path


def _parquet(path: Path, ids: Values, numbers: Values, kind: pa.DataType) -> Path:
    path = path.with_suffix(".parquet")
    pq.write_table(_arrow(path, ids, numbers, kind), path)
    return path


def _arrow(_: Path, ids: Values, numbers: Values, kind: pa.DataType) -> pa.Table:
    return pa.table({"id": pa.array(ids, kind), "x": pa.array(numbers, pa.float64()), "click": np.arange(len(ids)) % 2})


def _pandas(path: Path, ids: Values, numbers: Values, kind: pa.DataType) -> pd.DataFrame:
    frame = pd.DataFrame({"x": np.array([np.nan if n is None else n for n in numbers]), "click": np.arange(len(ids)) % 2})
    if kind == pa.string():
        frame["id"] = pd.Series(ids, dtype=object)
    else:  # not from a list: pandas would make floating-point numbers of it on the way
        whole = np.array([value or 0 for value in ids], dtype=kind.to_pandas_dtype())
        frame["id"] = pd.arrays.IntegerArray(whole, np.array([value is None for value in ids]))
    return frame


def _polars(path: Path, ids: Values, numbers: Values, kind: pa.DataType) -> pl.DataFrame:
    return pl.from_arrow(_arrow(path, ids, numbers, kind))  # type: ignore[return-value]


def _polars_csv(path: Path, ids: Values, numbers: Values, kind: pa.DataType) -> Path:
    _polars(path, ids, numbers, kind).write_csv(path)
    return path


def _categories(path: Path, ids: Values, numbers: Values, kind: pa.DataType) -> pa.Table:
    table = _arrow(path, ids, numbers, kind)
    return table.set_column(0, "id", table["id"].dictionary_encode())


FORMS: dict[str, Callable[[Path, Values, Values, pa.DataType], Any]] = {
    "csv": lambda path, ids, numbers, kind: _csv(path, ids, numbers),
    "semicolons": lambda path, ids, numbers, kind: _csv(path, ids, numbers, delimiter=";"),
    "polars' csv": _polars_csv,
    "parquet": _parquet,
    "arrow": _arrow,
    "pandas": _pandas,
    "polars": _polars,
    "categories": _categories,
}
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20) | st.integers(2**53 - 3, 2**53 + 3)
LARGE = st.integers(0, 2**64 - 1) | st.integers(2**63 - 2, 2**63 + 2)
LETTERS = st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"])
WORDS = st.sampled_from(
    ["07", "7", "7.0", "+7", " 7", "NA", "NULL", "", "-", "true", "1e5", "2024-01-31", str(2**64), "a,b", '"', "x;y"]
)
TEXTS = st.text(LETTERS, max_size=4) | WORDS
KINDS = st.sampled_from([(pa.int64(), INTEGERS), (pa.uint64(), LARGE), (pa.string(), TEXTS)])
NUMBERS = st.floats(-1e9, 1e9) | st.none()


def _encoder(source: Any) -> Encoder:
    table = open_table(source)
    batches = [(place, batch.select(["id", "x", "click"])) for place, batch in table.batches()]
    return fit_encoder(SCHEMA, KEEP_ALL, batches)


def _encoded(encoder: Encoder, source: Any) -> Rows:
    table = open_table(source, types=encoder.types)
    encoder.check(table.arrow_schema, table.name, ["id", "x"], table.mismatches)
    return Rows.concat([encoder.encode(batch, place, labels=True) for place, batch in table.batches(["id", "x", "click"])])


@pytest.mark.parametrize("trained_on", ["csv", "parquet", "pandas", "polars"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_same_rows_are_the_same_in_every_form(tmp_path: Path, trained_on: str, data: st.DataObject) -> None:
    kind, values = data.draw(KINDS)
    known = data.draw(st.lists(values, min_size=2, max_size=8))
    known += ["x"] if kind == pa.string() else []  # text that holds numbers alone would be whole numbers in CSV
    today = data.draw(st.lists(st.sampled_from(known) | values | st.none(), min_size=2, max_size=8))
    numbers = [0.5, *data.draw(st.lists(NUMBERS, min_size=len(known) - 1, max_size=len(known) - 1))]
    later = data.draw(st.lists(NUMBERS, min_size=len(today), max_size=len(today)))
    path = tmp_path / "log.csv"
    encoder = _encoder(FORMS[trained_on](path, known, numbers, kind))
    expected = {value: {known.index(v) for v in known if v == value} for value in today}
    first = _encoded(encoder, _arrow(path, today, later, kind))
    for name, form in FORMS.items():
        rows = _encoded(encoder, form(path, today, later, kind))
        seen = rows.id_BS[:, 0]
        for row, value in zip(seen, today, strict=True):
            assert (row >= 2) == bool(expected[value]), (name, value)
            assert (row == 0) == (value is None), (name, value)
        np.testing.assert_array_equal(rows.id_BS, first.id_BS, err_msg=name)
        np.testing.assert_array_equal(rows.number_BM, first.number_BM, err_msg=name)
        np.testing.assert_array_equal(rows.group_B, first.group_B, err_msg=name)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_equal_ids_share_a_row_and_others_do_not(tmp_path: Path, form: str, data: st.DataObject) -> None:
    kind, values = data.draw(KINDS)
    ids = data.draw(st.lists(values | st.none(), min_size=2, max_size=10).filter(lambda drawn: any(v is not None for v in drawn)))
    ids += ["x"] if kind == pa.string() else []
    source = FORMS[form](tmp_path / "log.csv", ids, [1.0] * len(ids), kind)
    rows = _encoded(_encoder(source), source).id_BS[:, 0].tolist()
    pairs = {(row, value) for row, value in zip(rows, ids, strict=True)}
    assert len(pairs) == len(set(rows)) == len(set(ids))
