"""Damaged files and column names that stand twice are refused."""

from __future__ import annotations

import errno
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.data.formats.readers import reading
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


def test_text_that_is_not_utf8_is_an_error() -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    assert "column 'c'" in problems(pa.table({"c": bad}))[0]


def test_column_names_must_differ(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    write_file(twice, tmp_path / "a.arrow")
    (tmp_path / "a.csv").write_text("a,a\n1,2\n")
    for source in (twice, tmp_path / "a.arrow", tmp_path / "a.csv"):
        assert "column 'a' is there twice. Rename or drop one." in problems(source)[0]
    assert "unique column names" in problems(pd.DataFrame([[1, 2]], columns=["a", "a"]))[0]
    assert "no columns" in problems(pa.table({}))[0]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Raise the limit of open files"),
        (PermissionError(errno.EACCES, "Permission denied"), "chmod"),
        (OSError(errno.EIO, "Input/output error"), "The disk reports a fault"),
        (OSError("Corrupt snappy compressed data."), "damaged"),
        (pa.ArrowInvalid("no footer"), "damaged"),
    ],
)
def test_a_file_is_called_damaged_only_if_it_is(error: Exception, words: str) -> None:
    with pytest.raises(InputError, match=f"log.parquet: cannot be read.*{words}"), reading("log.parquet"):
        raise error


def test_memory_that_runs_out_is_no_damage() -> None:
    with pytest.raises(MemoryError), reading("log.parquet"):
        raise pa.ArrowMemoryError("malloc of size 100 failed")
