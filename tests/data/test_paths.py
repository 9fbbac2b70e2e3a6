"""The files of a log are found by path, folder and glob, and checked against their names."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.data.table import open_table
from tables import LOG, problems, read, write_csv, write_file


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
