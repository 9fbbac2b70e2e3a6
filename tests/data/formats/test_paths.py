"""The files of a log are found by path, folder and glob, and checked against their names."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.data.table import open_table
from tables import LOG, problems, read, write_csv, write_file


def test_folders_globs_and_lists(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for name in ("b.parquet", "a.parquet", "day2/c.parquet", "_temporary/x.parquet", ".hidden.parquet", "_x.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"file": [name]}), folder / name)
    (folder / "schema.yaml").write_text("not data")
    assert read(open_table(folder))["file"] == ["a.parquet", "b.parquet", "day2/c.parquet"]
    assert read(open_table(f"{folder}/*"))["file"] == ["a.parquet", "b.parquet", "day2/c.parquet"]
    assert read(open_table(f"{folder}/**/c.par*"))["file"] == ["day2/c.parquet"]
    both = [folder / "b.parquet", str(folder / "a.parquet")]
    assert read(open_table(both))["file"] == ["b.parquet", "a.parquet"]
    assert open_table(both).name == f"{both[0]}, {both[1]}"


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


def write_rows(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"file": [path.name]}), path)


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    write_rows(tmp_path / "elsewhere" / "a.parquet", tmp_path / "log" / "b.parquet", tmp_path / "c.parquet")
    (tmp_path / "log" / "day=1").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "log" / "b.parquet").rename(tmp_path / "log" / "day=1" / "b.parquet")
    (tmp_path / "log" / "day=1" / "c.parquet").symlink_to(tmp_path / "c.parquet")
    for path in (tmp_path / "log", f"{tmp_path}/log/*", f"{tmp_path}/log/day=*/*.parquet"):
        table = open_table(path)
        assert read(table) == {"file": ["a.parquet", "b.parquet", "c.parquet"], "day": [1, 1, 1]}
        assert table.warnings == ()


def test_links_in_a_circle_are_named_and_not_followed(tmp_path: Path) -> None:
    write_rows(tmp_path / "log" / "sub" / "a.parquet")
    (tmp_path / "log" / "sub" / "up").symlink_to(tmp_path / "log")
    (tmp_path / "log" / "sub" / "self").symlink_to(tmp_path / "log" / "sub")
    table = open_table(tmp_path / "log")
    assert read(table)["file"] == ["a.parquet"]
    assert sum("a link to a folder above it, so it is not followed" in warning for warning in table.warnings_of([])) == 2


def test_rows_that_two_paths_lead_to_are_read_once(tmp_path: Path) -> None:
    write_rows(tmp_path / "log" / "dt=2" / "a.parquet")
    (tmp_path / "log" / "dt=1").symlink_to(tmp_path / "log" / "dt=2")
    table = open_table(tmp_path / "log")
    assert read(table) == {"file": ["a.parquet"], "dt": [2]}
    [warning] = table.warnings_of([])
    assert warning == f"read once, since a link leads to the same file: {tmp_path}/log/dt=1/a.parquet."
    both = [tmp_path / "log" / "dt=1" / "a.parquet", tmp_path / "log" / "dt=2" / "a.parquet"]
    assert read(open_table(both)) == {"file": ["a.parquet"], "dt": [2]}


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    write_rows(tmp_path / "log" / "a.parquet")
    (tmp_path / "log" / "b.parquet").symlink_to(tmp_path / "gone.parquet")
    [problem] = problems(tmp_path / "log")
    assert "b.parquet" in problem


@pytest.mark.parametrize("pattern", ["", "/*"])
def test_foreign_and_hidden_files_are_listed(tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "log"
    write_rows(folder / "a.parquet", folder / "_late.parquet", folder / ".part.parquet", folder / "_temporary" / "b.parquet")
    for name in ("README.md", "a.txt", "_SUCCESS", ".a.parquet.crc", "schema.yaml", "_metadata"):
        (folder / name).write_text("x")
    [warning] = open_table(f"{folder}{pattern}").warnings_of([])
    assert warning.startswith(f"{folder}{pattern}: 1 file read, ")
    names = warning.partition("skipped: ")[2].rstrip(".").split(", ")
    assert [Path(name).name for name in names] == (
        ["README.md", "_late.parquet", "_temporary", "a.txt"] if not pattern else ["README.md", "a.txt"]
    )


def test_many_skipped_files_are_counted(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet")
    for k in range(9):
        (tmp_path / f"note{k}.txt").write_text("x")
    [warning] = open_table(tmp_path).warnings_of([])
    assert warning == f"{tmp_path}: 1 file read, 9 skipped: note0.txt, note1.txt, note2.txt, note3.txt, note4.txt and 4 more."


def test_nested_files_are_counted_unless_their_folders_are_columns(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "log" / "a.parquet", tmp_path / "log" / "old" / "b.parquet", tmp_path / "log" / "2024" / "01" / "c.parquet"
    )
    table = open_table(tmp_path / "log")
    assert table.warnings_of([]) == [f"{tmp_path}/log: 2 of 3 files lie in folders below it: 2024/01, old."]
    write_rows(tmp_path / "days" / "dt=1" / "a.parquet", tmp_path / "days" / "dt=2" / "a.parquet")
    assert open_table(tmp_path / "days").warnings == ()


def test_a_pipe_is_named_and_nothing_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.csv")
    for path in (tmp_path / "log.csv", tmp_path):
        assert problems(path) == (f"{tmp_path}/log.csv: a pipe, socket or device, not a file. Write the rows to a file first.",)
