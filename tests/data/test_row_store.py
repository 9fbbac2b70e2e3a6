"""Rows stay in memory up to a limit, then all are in files, and the files go with the process."""

from __future__ import annotations

import gc
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from manygate.data.row_store import RowStore, ScratchFolder
from manygate.data.rows import Rows
from manygate.errors import InputError
from stored_rows import equal, made_up


@pytest.mark.parametrize(("limit", "in_files"), [(1e9, False), (3000.0, True), (0.0, True)], ids=["all fit", "some", "none"])
def test_rows_beyond_the_limit_go_to_files_and_stay_the_same(limit, in_files, tmp_path):
    store = RowStore(("train", "test"), limit, tmp_path)
    parts = {"train": [made_up(n) for n in (10, 20, 30)], "test": [made_up(7)]}
    for part, several in parts.items():
        for rows in several:
            store.add(part, rows)
    assert store.counts == {"train": 60, "test": 7}
    found = store.rows()
    assert list(found) == ["train", "test"]
    for part, rows in found.items():
        assert (rows.files is not None) == in_files
        assert equal(Rows.concat(list(rows.chunks())), Rows.concat(parts[part]))
    assert bool(list(tmp_path.iterdir())) == in_files
    del store, found, rows
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(tmp_path):
    living = ScratchFolder(tmp_path)
    left, fresh, other = (tmp_path / f"manygate-rows-{name}-x" for name in (socket.gethostname(), socket.gethostname() + "-y", "z"))
    for folder in (left, fresh, other):
        (folder / "train").mkdir(parents=True)
        (folder / "train" / "000000.rows").write_bytes(b"x")
    for folder in (living.path, left, other):
        os.utime(folder, (1, 1))
    ScratchFolder(tmp_path)
    assert living.path.is_dir()
    assert not left.exists()
    assert fresh.is_dir(), "a new folder may not be locked yet"
    assert other.is_dir(), "another machine's"


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="go to files, and these need about 1,000,000,000 GB"):
        ScratchFolder(tmp_path, needed=1e18)
    assert list(tmp_path.iterdir()) == []
    assert np.isfinite(ScratchFolder(tmp_path, needed=1.0).path.stat().st_mtime)


def test_a_file_is_no_folder_for_rows(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").touch()
    with pytest.raises(InputError, match=r"rows_folder=.*log.parquet.*: not a folder, but a file"):
        ScratchFolder(tmp_path / "log.parquet")
