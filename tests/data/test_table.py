"""Every kind of source gives the same rows; every broken one gives an error that names the file, the column and the remedy."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from manygate.data import readers as readers_module
from manygate.data.table import Table, open_table
from manygate.errors import InputError

ROWS = {"user": ["a", "b", None, "NA"], "price": [1.5, 2.0, None, 4.25], "click": [0, 1, 1, 0]}
LOG = pa.table(ROWS)


def read(table: Table, columns: list[str] | None = None, rows: int = 131_072) -> dict[str, list[Any]]:
    batches = [batch for _, batch in table.batches(columns, rows)]
    assert all(0 < batch.num_rows <= rows for batch in batches)
    schema = pa.schema([table.arrow_schema.field(name) for name in columns or table.column_names])
    return pa.Table.from_batches(batches, schema).to_pydict()


def problems(source: Any, **settings: Any) -> tuple[str, ...]:
    """Open and read to the end; the problems of the one error that this must raise."""
    with pytest.raises(InputError) as caught:
        for _ in open_table(source, **settings).batches():
            pass
    return caught.value.problems


def write_stream(table: pa.Table, path: Path) -> None:
    with ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


def write_file(table: pa.Table, path: Path) -> None:
    with ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def write_csv(table: pa.Table, path: Path) -> None:
    tab = ".tsv" in path.name
    with pa.output_stream(path) as sink:  # compresses by the ending
        pc_csv.write_csv(table, sink, pc_csv.WriteOptions(delimiter="\t" if tab else ",", quoting_style="needed"))


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
    assert table.count() == (None if "sv" in name or name == "log.ipc" else 4)
    assert table.sample(100).to_pydict() == ROWS
    assert table.sample(2, ["click"]).num_rows == 2
    table.require_rows()


FRAMES = {
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas with an index": lambda: pd.DataFrame(ROWS | {"i": [5, 7, 9, 8]}).set_index("i"),
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


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (pa.array(["a", None, "b"]).dictionary_encode(), pa.string()),
        (pa.array(["a", None, "b"], pa.large_string()), pa.string()),
        (pa.array(["a", None, "b"], pa.string_view()), pa.string()),
        (pa.array([["a"], None, []], pa.large_list(pa.large_string())), pa.list_(pa.string())),
        (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)), pa.list_(pa.int32())),
        (pa.array([["a"], None, []], pa.list_(pa.dictionary(pa.int32(), pa.string()))), pa.list_(pa.string())),
        (pa.array([1, None, 2], pa.decimal128(12, 2)), pa.float64()),
        (pa.array([1, None, 2], pa.decimal128(19, 0)), pa.int64()),
        (pa.array([1, None, 2], pa.float16()), pa.float32()),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]), pa.string()),
        (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None, "1"])), pa.string()),
    ],
    ids=str,
)
def test_each_column_has_one_plain_type(stored: pa.Array, kind: pa.DataType) -> None:
    table = open_table(pa.table({"c": stored}))
    assert table.arrow_schema.field("c").type == kind
    [(_, batch)] = table.batches()
    assert batch.schema.field("c").type == kind
    assert batch.column("c").to_pylist() == stored.to_pylist()
    assert table.categorical == ({"c"} if pa.types.is_dictionary(stored.type) else set())


def test_places_name_file_and_rows(tmp_path: Path) -> None:
    for part in (0, 1):
        pq.write_table(LOG, tmp_path / f"part-{part}.parquet", row_group_size=2)
    places = [place for place, _ in open_table(tmp_path).batches()]
    assert places == [f"{tmp_path}/part-{part}.parquet, rows {rows}" for part in (0, 1) for rows in ("0 to 1", "2 to 3")]


def test_folders_globs_and_lists(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for name in ("b.parquet", "a.parquet", "day=2/c.parquet", "_temporary/x.parquet", ".hidden.parquet", "_x.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"file": [name]}), folder / name)
    (folder / "schema.yaml").write_text("not data")
    assert read(open_table(folder))["file"] == ["a.parquet", "b.parquet", "day=2/c.parquet"]
    assert read(open_table(f"{folder}/*"))["file"] == ["a.parquet", "b.parquet", "day=2/c.parquet"]
    assert read(open_table(f"{folder}/**/c.par*"))["file"] == ["day=2/c.parquet"]
    both = [folder / "b.parquet", str(folder / "a.parquet")]
    assert read(open_table(both))["file"] == ["b.parquet", "a.parquet"]
    assert open_table(both).name == f"{both[0]}, {both[1]}"


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
    pq.write_table(pa.table({"click": [1], "age": [True]}), tmp_path / "c.parquet")
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
    assert "c.parquet: column 'age' is bool" in found[4]


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


def test_missing_paths(tmp_path: Path) -> None:
    pq.write_table(LOG, tmp_path / "train.parquet")
    (tmp_path / "empty").mkdir()
    wrong = [tmp_path / "tran.parquet", tmp_path / "nowhere" / "a.csv", tmp_path / "empty", tmp_path / "*.csv", tmp_path / "zz"]
    found = problems(wrong)
    assert "tran.parquet: does not exist. Did you mean 'train.parquet'?" in found[0]
    assert "a.csv: does not exist, nor does its folder" in found[1]
    assert "Working folder" in found[1]
    assert "empty: the folder holds no data file. Data files end in .parquet" in found[2]
    assert "*.csv: no data file matches" in found[3]
    assert "zz: does not exist. Look in" in found[4]


def test_broken_files_are_told_apart(tmp_path: Path) -> None:
    pq.write_table(LOG, tmp_path / "good.parquet")
    whole = (tmp_path / "good.parquet").read_bytes()
    write_file(LOG, tmp_path / "good.arrow")
    files = {
        "zero.parquet": (b"", "the file is empty (zero bytes)"),
        "text.parquet": (b"a,b\n1,2\n", "not a Parquet file: it starts with b'a,b"),
        "cut.parquet": (whole[:-20], "truncated: its end is missing"),
        "cut.arrow": ((tmp_path / "good.arrow").read_bytes()[:-9], "truncated: its end is missing"),
        "parquet.csv": (whole, "not a CSV file: it looks like Parquet. Rename it"),
        "packed.csv": (gzip.compress(b"a\n1\n"), "it looks like gzip"),
        "plain.csv.gz": (b"a\n1\n", "not a CSV file (gzip): it starts with"),
        "model.arrow": (b"\x80\x04\x95\x00", "it looks like pickle"),
        "old.feather": (b"FEA1....FEA1", "Feather version 1"),
        "log.txt": (b"a\n1\n", "the name does not say what the file is"),
    }
    for name, (content, message) in files.items():
        (tmp_path / name).write_bytes(content)
        [problem] = problems(tmp_path / name)
        assert problem.startswith(f"{tmp_path / name}: ")
        assert message in problem
    assert len(problems([tmp_path / name for name in files if name != "log.txt"])) == len(files) - 1


def test_mixed_formats(tmp_path: Path) -> None:
    pq.write_table(LOG, tmp_path / "a.parquet")
    write_csv(LOG, tmp_path / "b.csv")
    [problem] = problems(tmp_path)
    assert "files of several formats (1 CSV, 1 Parquet)" in problem
    assert "*.parquet" in problem


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(LOG, tmp_path / "a.parquet")

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no mode stops
    [problem] = problems(tmp_path / "a.parquet")
    assert "a.parquet: Permission denied. Check that you may read it" in problem


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


def test_frames_that_cannot_be_tables() -> None:
    for source in (5, {"a": [1]}, [], None, [1, 2]):
        assert "Give a path, a list of paths or a dataframe" in problems(source)[0]
    [problem] = problems(pd.DataFrame({"mixed": [1, "x"]}, dtype=object))
    assert "DataFrame (pandas)" in problem
    assert "mixed" in problem
    assert "one type" in problem


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


def test_no_heavy_imports() -> None:
    code = "import sys, manygate.data.table; print({'torch', 'pandas', 'polars', 'duckdb'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
