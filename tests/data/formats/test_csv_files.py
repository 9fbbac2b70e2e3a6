"""CSV files keep the bytes of ids, know words for missing values, and have one type for a column in every file."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manygate.config import CsvConfig
from manygate.data.formats import csv_files as csv_files_module
from manygate.data.table import open_table
from manygate.errors import InputError
from manygate.schema.reading import validated
from tables import problems, read


def column_of(path: Path, *values: str, types: dict[str, pa.DataType] | None = None, **options: object) -> tuple[str, list[object]]:
    """Write values as a column beside another one; its type and the values that are read."""
    path.write_text("n,c\n" + "".join(f"1,{value}\n" for value in values))
    table = open_table(path, types=types, csv=CsvConfig.model_validate(options))
    return str(table.arrow_schema.field("c").type), read(table)["c"]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (("7", "-1", "0", ""), "int64", [7, -1, 0, None]),
        (("07", "7"), "string", ["07", "7"]),
        (("00014",), "string", ["00014"]),
        (("+7", "7"), "string", ["+7", "7"]),
        (("0x1F", "31"), "string", ["0x1F", "31"]),
        (("-0", "0"), "string", ["-0", "0"]),
        ((" 7", "7"), "string", [" 7", "7"]),
        ((" 7", " 8"), "int64", [7, 8]),
        (("9223372036854775807", "1"), "int64", [2**63 - 1, 1]),
        (("9223372036854775808", "1"), "uint64", [2**63, 1]),
        (("9223372036854775808", "-1"), "string", ["9223372036854775808", "-1"]),
        (("18446744073709551616", "1"), "string", ["18446744073709551616", "1"]),
        (("9" * 5000, "1"), "string", ["9" * 5000, "1"]),
        (("10000000000000000001", "10000000000000000002"), "uint64", [10**19 + 1, 10**19 + 2]),
        (("7", "A7"), "string", ["7", "A7"]),
        (("1.5", "2", ""), "double", [1.5, 2.0, None]),
        (("1.50", "007"), "double", [1.5, 7.0]),
        (("3.0", "4"), "double", [3.0, 4.0]),
        (("3.0", "007"), "string", ["3.0", "007"]),
        (("12e4", "007"), "string", ["12e4", "007"]),
        (("1e5", "2.5"), "double", [1e5, 2.5]),
        (("1.2.3", "1.2"), "string", ["1.2.3", "1.2"]),
        (("true", "False"), "bool", [True, False]),
        (("true", "1"), "string", ["true", "1"]),
        (("1,234",), "string", ["1,234"]),
        (("+41791234567", "+41791234568"), "string", ["+41791234567", "+41791234568"]),
    ],
)
def test_the_values_decide_the_type(tmp_path: Path, values: tuple[str, ...], kind: str, expected: list[object]) -> None:
    quoted = [f'"{value}"' if "," in value else value for value in values]
    assert column_of(tmp_path / "a.csv", *quoted) == (kind, expected)


@pytest.mark.parametrize("word", ["NULL", "NA", "\\N", "None", "null", "N/A", "nan", "NaN", "?", "-", '""', "<NA>"])
def test_words_for_missing_values_are_null_among_numbers_and_values_of_text(tmp_path: Path, word: str) -> None:
    for numbers, kind, expected in (
        (("7", "8"), "int64", [7, 8, None]),
        (("1.5", "2"), "double", [1.5, 2.0, None]),
        (("true", "false"), "bool", [True, False, None]),
    ):
        assert column_of(tmp_path / "a.csv", *numbers, word) == (kind, expected)
    assert column_of(tmp_path / "a.csv", "x", "8", word) == ("string", ["x", "8", word.strip('"')])
    assert column_of(tmp_path / "a.csv", "07", "8", word) == ("string", ["07", "8", word.strip('"')])


def test_words_for_missing_times(tmp_path: Path) -> None:
    kind, values = column_of(tmp_path / "a.csv", "2024-01-31", "NULL", "")
    assert kind == "date32[day]"
    assert str(values) == "[datetime.date(2024, 1, 31), None, None]"
    assert column_of(tmp_path / "a.csv", "2024-01-31 10:00:00", "2024-02-01 10:00:00.5")[0] == "timestamp[ns]"
    assert column_of(tmp_path / "a.csv", "2024-01-31T10:00:00Z")[0] == "timestamp[s, tz=UTC]"
    assert column_of(tmp_path / "a.csv", "2024-01-31", "soon") == ("string", ["2024-01-31", "soon"])


def test_what_is_read_as_missing_stands_in_note_and_warning(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("age,word\n7,NA\n?,x\n9,y\nNULL,z\n")
    table = open_table(tmp_path / "a.csv")
    assert table.remarks == {"age": "'?', 'NULL' read as missing"}
    [warning] = table.warnings_of(["age", "word"])
    assert "column 'age': '?', 'NULL' read as missing (50.0% of the rows)" in warning
    assert table.warnings_of(["word"]) == []
    kept = open_table(tmp_path / "a.csv", csv=CsvConfig(types={"age": "text"}))
    assert read(kept)["age"] == ["7", "?", "9", "NULL"]
    assert kept.warnings == ()


def test_one_odd_word_among_many_numbers_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,n\n" + "x,5\n" * 50 + "x,oops\n")
    table = open_table(path)
    assert table.arrow_schema.field("n").type == pa.string()
    [warning] = table.warnings_of(["n"])
    assert f"column 'n' is read as text, since 'oops' (row 51 of {path}) is no number, though 98.0% of the values" in warning
    assert read(open_table(path, csv=CsvConfig(null_values=("oops",))))["n"][-2:] == [5, None]


def test_a_late_value_decides_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files_module, "BLOCK", 1000)
    path = tmp_path / "late.csv"
    path.write_text("a,n,m,f\n" + "".join(f"x,{i},,1.5\n" for i in range(3000)) + "x,007,2.5,\\N\n")
    table = open_table(path)
    assert [str(kind) for kind in table.arrow_schema.types] == ["string", "string", "double", "double"]
    assert {name: values[-1] for name, values in read(table).items()} == {"a": "x", "n": "007", "m": 2.5, "f": None}
    assert table.count() == 3001
    path.write_text("a,n\n" + "x,1\n" * 3000 + "x,1,2\n")
    [problem] = problems(path)
    assert f"{path}, line 3002: cannot be read: " in problem
    assert "Expected 2 columns, got 3" in problem
    assert "separator, quote, escape" in problem


def test_files_of_one_log_have_one_type_for_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sku,price\n7,1\n")
    (tmp_path / "b.csv").write_text("price,sku\n2.5,007\n")
    (tmp_path / "c.csv").write_text("sku,price\n8,NULL\n")
    table = open_table(tmp_path)
    assert read(table) == {"sku": ["7", "007", "8"], "price": [1.0, 2.5, None]}
    (tmp_path / "d.csv").write_text("sku,prize\n8,1\n")
    assert "d.csv: column 'price'" in problems(tmp_path)[0]


@pytest.mark.parametrize(
    ("fitted", "values", "kind", "expected"),
    [
        (pa.int64(), ("3.0", "", "7.0"), "int64", [3, None, 7]),
        (pa.int64(), ("9007199254740993.0", "1"), "int64", [9007199254740993, 1]),
        (pa.int64(), ("3.5", "4"), "double", [3.5, 4.0]),
        (pa.int64(), ("NULL", ""), "int64", [None, None]),
        (pa.float64(), ("3", "4"), "double", [3.0, 4.0]),
        (pa.float64(), ("", ""), "double", [None, None]),
        (pa.string(), ("7", "8"), "string", ["7", "8"]),
        (pa.string(), ("3.0", "true"), "string", ["3.0", "true"]),
        (pa.string(), ("2024-01-31",), "string", ["2024-01-31"]),
        (pa.string(), ("NULL", ""), "string", ["NULL", None]),
        (pa.uint64(), ("7", "8"), "int64", [7, 8]),
        (pa.timestamp("us"), ("2024-01-31 10:00:00",), "timestamp[us]", None),
    ],
)
def test_the_types_of_training_hold_where_values_allow(
    tmp_path: Path, fitted: pa.DataType, values: tuple[str, ...], kind: str, expected: list[object] | None
) -> None:
    given, got = column_of(tmp_path / "a.csv", *values, types={"c": fitted})
    assert given == kind
    assert expected is None or got == expected


def test_a_value_that_does_not_fit_training_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,c\n1,7\n1,007\n")
    table = open_table(tmp_path / "a.csv", types={"c": pa.int64(), "n": pa.int64()})
    assert table.mismatches == {"c": f"'007' (row 2 of {tmp_path / 'a.csv'})"}


def test_kinds_may_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('zip,price,comma,n\n123,"1,234.5","3,14",07\n8000,12,"1.000,5",\n')
    kinds = {"zip": "text", "price": "thousands_comma", "comma": "decimal_comma", "n": "integer"}
    table = open_table(tmp_path / "a.csv", csv=CsvConfig(types=kinds))
    assert read(table) == {"zip": ["123", "8000"], "price": [1234.5, 12.0], "comma": [3.14, 1000.5], "n": [7, None]}
    [problem] = problems(tmp_path / "a.csv", csv=CsvConfig(types={"price": "decimal_comma"}))
    assert "from row 1 on: column 'price' holds '1,234.5', which is no number" in problem
    [problem] = problems(tmp_path / "a.csv", csv=CsvConfig(types={"zip": "boolean"}))
    assert "column 'zip' holds '8000', which is no true or false" in problem


def test_the_empty_text_and_nothing_are_two_values(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('n,c,d\n1,"",""\n2,,7\n3,x,\n')
    assert read(open_table(path)) == {"n": [1, 2, 3], "c": ["", None, "x"], "d": [None, 7, None]}
    path.write_text('n,c\n1,""\n2,x\n')
    assert read(open_table(path))["c"] == ["", "x"]
    path.write_text('"n","c","d"\n"1","",""\n"2","x","7"\n')  # quotes around everything: the writer has no other null
    assert read(open_table(path)) == {"n": [1, 2], "c": [None, "x"], "d": [None, 7]}
    path.write_text('"n","c"\n"1",""\n"2",\n')
    assert read(open_table(path))["c"] == ["", None]


def test_words_that_are_given_for_missing_values_are_copied_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,c\n1,x\nunknown,unknown\n")
    table = open_table(tmp_path / "a.csv", csv=CsvConfig(null_values=("unknown",)))
    assert read(table) == {"n": [1, None], "c": ["x", None]}
    assert read(table.written()) == {"n": ["1", "unknown"], "c": ["x", "unknown"]}


def test_quoted_fields_of_nothing_are_no_words_to_warn_of(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('n,c\n1,x\n"",y\n2,\n')
    table = open_table(tmp_path / "a.csv")
    assert read(table)["n"] == [1, None, 2]
    assert (table.remarks, table.warnings) == ({}, ())


def test_one_column_keeps_its_missing_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n\n3\n")
    assert read(open_table(tmp_path / "a.csv")) == {"n": [1, None, 3]}


def test_a_quoted_field_of_many_lines_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n,c\n" + "1,x\n" * 5 + '2,"nail\n' + "1,x\n" * 30 + '3,5"\n')
    [warning] = open_table(path).warnings_of([])
    assert f"{path}, row 6: a quoted field of column 'c' spans 32 lines" in warning
    assert "quote='none'" in warning
    rows = read(open_table(path, csv=CsvConfig(quote="none")))
    assert len(rows["n"]) == 37
    path.write_text('n,c\n1,"two\nlines"\n')
    assert open_table(path).warnings == ()


def test_a_second_line_of_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,n\na,1\nuser,n\nb,2\n")
    assert "row 2 repeats the first line" in problems(tmp_path / "a.csv")[0]
    [problem] = problems(tmp_path / "a.csv", csv=CsvConfig(header=True))
    assert f"row 2 of {tmp_path / 'a.csv'} repeats the line of names" in problem


def test_written_gives_values_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("order,zip,version,n,age,word\n10000000000000000001,00014,1.10,7,NULL,\n10000000000000000002,8000,1.1,8,3,NA\n")
    written = open_table(path).written()
    assert read(written) == {
        "order": [10**19 + 1, 10**19 + 2],
        "zip": ["00014", "8000"],
        "version": ["1.10", "1.1"],
        "n": [7, 8],
        "age": ["NULL", "3"],
        "word": [None, "NA"],
    }
    assert read(open_table(path, types={"n": pa.string()}).written(), ["n"]) == {"n": ["7", "8"]}
    memory = open_table(pa.table({"a": [1]}))
    assert memory.written() is memory


def test_damaged_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("naïf,n\nété,1\n".encode("cp1252"))
    [problem] = problems(path)
    assert "a.csv, line 1: not UTF-8 text" in problem
    assert "file_encoding='cp1252'" in problem
    assert read(open_table(path, csv=CsvConfig(file_encoding="cp1252"))) == {"naïf": ["été"], "n": [1]}
    path.write_bytes(b"a,n\n" + b"x,1\n" * 80_000 + b"\xe9,1\n")
    [problem] = problems(path)
    assert "not UTF-8 text" in problem
    with pytest.raises(InputError, match="unknown encoding"):
        validated(CsvConfig, {"file_encoding": "klingon"}, "")


def test_names_that_stand_twice_ask_for_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,a\nx,y\n")
    [problem] = problems(tmp_path / "a.csv")
    assert "column 'a' is there twice. Rename or drop one. If the file has no line of names, say header=False." in problem


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b", {}),
        ("a,b\n", {}),
        ("\n\r\na,b\n1,2\n", {"a": [1], "b": [2]}),
        ('"a\nx",b\n1,2\n', {"a\nx": [1], "b": [2]}),
        ("sep=;\n\na;b\n1;2", {"a": [1], "b": [2]}),
        ("a,b\r\n\r\n1,2\r\n", {"a": [1], "b": [2]}),
        ("a,b\n1,2\r3,4\n", {"a": [1, 3], "b": [2, 4]}),
        ('a,b\n1,"x\r\ny"\n', {"a": [1], "b": ["x\r\ny"]}),
        ('"a","b"\n"1","2"\n', {"a": [1], "b": [2]}),
        ("\na\n1\n\n", {"a": [1, None]}),
    ],
)
def test_lines_of_names_and_blank_lines(tmp_path: Path, text: str, rows: dict[str, list[object]]) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    table = open_table(tmp_path / "a.csv")
    if rows:
        assert read(table) == rows
    else:
        with pytest.raises(InputError, match="columns but no rows"):
            table.require_rows()


CELLS = st.sampled_from(
    ["7", "07", "1.5", "x", "a,b", '"', "a\nb", "NULL", "é", "a|b", "a;b", "\t", " 3", "true", "2024-01-01", "-", "=1", "\\"]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6),
    separator=st.sampled_from(",;|\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_files_are_read_as_they_were_written(
    tmp_path: Path, rows: list[list[str]], separator: str, quoting: int, ending: str, encoding: str
) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=ending)  # type: ignore[arg-type]
        writer.writerows([["c0", "c1", "c2"], *rows])
    table = open_table(path, csv=CsvConfig(separator=separator))  # rows may have as many columns with another one
    assert table.count() == len(rows)
    written = [list(map(str, row.values())) for _, batch in table.written().batches() for row in batch.to_pylist()]
    assert written == rows
    assert sum(batch.num_rows for _, batch in table.batches()) == len(rows)
