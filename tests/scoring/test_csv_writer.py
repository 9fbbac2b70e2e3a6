"""CSV is written with quotes only where they are needed, and reads back as it was."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc_csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.scoring.csv_writer import CsvWriter


def write(path: Path, *batches: pa.RecordBatch) -> str:
    writer = CsvWriter(path, batches[0].schema)
    for batch in batches:
        writer.write_batch(batch)
    writer.close()
    return path.read_text(encoding="utf-8")


def test_fields(tmp_path: Path) -> None:
    batch = pa.record_batch(
        {
            "id": ["00014", None, "", "a,b", 'say "hi"', " x", "two\nlines"],
            'a "b"': [1, None, 3, 4, 5, 6, 7],
            "f": [0.1, 1e20, None, -0.5, 3.0, 1e-9, 2.0],
            "t": [True, False, None, True, True, True, True],
        }
    )
    assert write(tmp_path / "a.csv", batch, batch.slice(0, 1)) == (
        'id,"a ""b""",f,t\n00014,1,0.1,true\n,,1e+20,false\n"",3,,\n"a,b",4,-0.5,true\n"say ""hi""",5,3,true\n" x",6,1e-9,true\n'
        '"two\nlines",7,2,true\n00014,1,0.1,true\n'
    )


@pytest.mark.parametrize("neutralise", [False, True])
def test_formulas_are_counted_and_neutralised_where_that_is_asked(tmp_path: Path, neutralise: bool) -> None:
    formulas = ["=1+1", '=HYPERLINK("x")', "+41 79", "@a", "-a", "\t=1"]
    others = ["-1.5", "-", "a=1", None, "", "7"]
    batch = pa.record_batch({"=x": [*formulas, *others], "n": [-1.0] * 12})
    writer = CsvWriter(tmp_path / "a.csv", batch.schema, neutralise)
    writer.write_batch(batch)
    writer.close()
    assert writer.formulas == 7, "six fields and a name"
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    mark = "'" if neutralise else ""
    assert names == [f"{mark}=x", "n"]
    assert [row[0] for row in rows] == [*(mark + text for text in formulas), *(text or "" for text in others)]
    assert {row[1] for row in rows} == {"-1"}


def test_one_column_and_categories(tmp_path: Path) -> None:
    assert write(tmp_path / "a.csv", pa.record_batch({"a": [1, None]})) == 'a\n1\n""\n'
    assert (
        write(tmp_path / "a.csv", pa.record_batch({"a": pa.array(["x", None]).dictionary_encode(), "b": [1, 2]}))
        == "a,b\nx,1\n,2\n"
    )


@given(st.lists(st.tuples(st.text(max_size=5) | st.none(), st.floats(allow_nan=False) | st.none()), min_size=1, max_size=20))
def test_values_read_back(tmp_path_factory: object, rows: list[tuple[str | None, float | None]]) -> None:
    path = tmp_path_factory.getbasetemp() / "a.csv"  # type: ignore[attr-defined]
    rows = [(text if text is None else text.replace("\0", ""), number) for text, number in rows]
    batch = pa.record_batch(
        {"text": pa.array([r[0] for r in rows], pa.string()), "n": pa.array([r[1] for r in rows], pa.float64())}
    )
    write(path, batch)
    with path.open(encoding="utf-8", newline="") as file:
        read = list(csv.reader(file))
    assert [row[0] for row in read[1:]] == [text or "" for text, _ in rows]
    options = pc_csv.ConvertOptions(
        column_types=batch.schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    again = pc_csv.read_csv(path, None, pc_csv.ParseOptions(newlines_in_values=True), options)
    assert again.to_pydict() == batch.to_pydict()
