"""Damaged files, CSV types and column names are refused or read as they are meant."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.data import readers as readers_module
from manygate.data.table import open_table
from manygate.errors import InputError
from tables import problems, read, write_file


@pytest.mark.parametrize("name", ["log.parquet", "log.arrow"])
def test_a_flipped_byte_is_found_or_harmless(tmp_path: Path, name: str) -> None:
    log = pa.table({"id": [f"id-{i * 7919 % 1000}" for i in range(4000)], "number": [i / 7 for i in range(4000)]})
    path = tmp_path / name
    if name == "log.arrow":
        write_file(log, path)
    else:
        pq.write_table(log, path, row_group_size=1000, write_page_checksum=True)
    content, found = path.read_bytes(), 0
    for position in range(8, len(content) - 8, len(content) // 60):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :])
        try:
            same = read(open_table(path)) == log.to_pydict()
        except InputError as caught:
            error = str(caught)
        else:
            assert same or name == "log.arrow"  # Arrow files have no checksums
            continue
        assert name in error
        found += 1
    assert found > 40 or name == "log.arrow"


def test_a_corrupted_page_names_its_row_group(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"n": range(4000)}), path, row_group_size=2000, write_page_checksum=True, compression="NONE")
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset + 200
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))
    batches = open_table(path).batches()
    assert next(batches)[1].num_rows == 2000
    with pytest.raises(InputError, match=r"log.parquet, row group 1: cannot be read: .*The file is damaged .*copy it again"):
        next(batches)


def test_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    assert "column 'c'" in problems(pa.table({"c": bad}))[0]
    (tmp_path / "a.csv").write_bytes("naïf\nété\n".encode().replace("é".encode(), b"\xe9"))
    [problem] = problems(tmp_path / "a.csv")
    assert "column 'naïf' is not UTF-8 text" in problem
    assert "iconv" in problem


def test_column_names_must_differ(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    write_file(twice, tmp_path / "a.arrow")
    (tmp_path / "a.csv").write_text("a,a\n1,2\n")
    for source in (twice, tmp_path / "a.arrow", tmp_path / "a.csv"):
        assert "column 'a' is there twice. Rename or drop one." in problems(source)[0]
    assert "unique column names" in problems(pd.DataFrame([[1, 2]], columns=["a", "a"]))[0]
    assert "no columns" in problems(pa.table({}))[0]


def test_csv_keeps_words_that_look_like_nulls(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('word,number\nNA,1\nnull,\n?,2\nnan,3\n"",4\n"two\nlines",5\n')
    expected = {"word": ["NA", "null", "?", "nan", None, "two\nlines"], "number": [1, None, 2, 3, 4, 5]}
    assert read(open_table(tmp_path / "a.csv")) == expected


def test_csv_types_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("zip,n\n00123,1\n8000,2\n")
    table = open_table(tmp_path / "a.csv", types={"zip": pa.string(), "elsewhere": pa.int64()})
    assert read(table) == {"zip": ["00123", "8000"], "n": [1, 2]}
    [problem] = problems(tmp_path / "a.csv", types={"n": pa.bool_()})
    assert "a.csv, line 3: column 'n' holds '2', where the rows before hold bool" in problem


def test_csv_a_late_value_of_another_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers_module, "CSV_BLOCK", 1000)
    path = tmp_path / "late.csv"
    path.write_text("a,n\n" + "".join(f"x,{i}\n" for i in range(5000)) + "x,oops\n")
    [problem] = problems(path)
    assert problem.startswith(f"{path}, line 5002: column 'n' holds 'oops', where the rows before hold int64.")
    assert "as Parquet" in problem
    assert "types={'n': pa.string()}" in problem
    assert read(open_table(path, types={"n": pa.string()}))["n"][-1] == "oops"
    assert read(open_table(path), ["a"])["a"][-1] == "x"
    path.write_text("a,n\n" + "x,1\n" * 5000 + "x,1,2\n")
    [problem] = problems(path)
    assert f"{path}, line 5002: cannot be read: " in problem
    assert "Expected 2 columns, got 3" in problem
    assert "Mend" in problem


def test_csv_a_column_that_starts_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers_module, "CSV_BLOCK", 1000)
    path = tmp_path / "late.csv"
    path.write_text("a,n,s,e\n" + ",,,\n" * 3000 + '1,2.5,"say ""hi"", NA",\n')
    table = open_table(path)
    assert table.arrow_schema.types == [pa.int64(), pa.float64(), pa.string(), pa.null()]
    assert {name: values[-1] for name, values in read(table).items()} == {"a": 1, "n": 2.5, "s": 'say "hi", NA', "e": None}
