"""Blocks of encoded rows: what was written is read, and what was changed since is refused by name."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from manygate.data.row_files import RowFiles, RowFilesWriter
from manygate.data.rows import NO_GROUP, Rows
from manygate.errors import InputError
from stored_rows import equal, in_files, made_up

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.mark.parametrize("count", [1, 50, 51, 420])
def test_rows_come_back_whole_by_block_and_by_part(count, tmp_path):
    rows = made_up(count)
    files = in_files(rows, tmp_path)
    assert len(files) == count
    assert [block.rows for block in files.blocks] == [50] * (count // 50) + [count % 50] * (count % 50 > 0)
    assert equal(files.loaded(), rows)
    assert equal(Rows.concat(list(files.chunks())), rows)
    assert equal(Rows.concat(list(files.label_chunks())), rows.without_inputs())
    for start, stop in ((0, 1), (0, 10_000), (count // 2, count), (count - 1, count)):
        assert equal(files.part(start, stop), rows.part(start, stop))
    keep = np.arange(count) % 7 == 0
    assert equal(files.where(keep), rows.where(keep))
    assert np.array_equal(files.label_BT, rows.label_BT)
    assert np.array_equal(files.groups, rows.groups)
    assert equal(files.read([len(files.blocks) - 1]), rows.part((count - 1) // 50 * 50, count))


def test_rows_without_a_group_features_or_labels(tmp_path):
    none = np.zeros((60, 0))
    rows = Rows(none.astype(np.int32), none.astype(np.float32), [], np.ones((60, 1), np.float32), np.ones((60, 1), np.float32))
    files = in_files(rows, tmp_path)
    assert equal(files.loaded(), rows)
    assert files.groups is None
    assert files.groupless == 0
    rows.group_B = np.where(np.arange(60) % 3 == 0, NO_GROUP, np.uint64(7))
    assert in_files(rows, tmp_path).groupless == rows.groupless == 20


def test_a_change_is_written_block_by_block(tmp_path):
    rows = made_up(120)
    starts = []

    def widened(start: int, chunk: Rows) -> Rows:
        starts.append(start)
        wide = np.concatenate([chunk.number_BM, chunk.number_BM[:, :1] + start], axis=1)
        return Rows(chunk.id_BS, wide, chunk.bags, chunk.label_BT, chunk.weight_BT, chunk.group_B)

    changed = in_files(rows, tmp_path).changed(widened)
    assert starts == [0, 50, 100]
    assert equal(changed.loaded(), rows.changed(widened))
    assert changed.number_BM.shape == (120, 3)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000000.rows", "000001.rows", "000002.rows"]


def test_a_flipped_byte_anywhere_is_found_and_the_file_is_named(tmp_path):
    files = in_files(made_up(120), tmp_path)
    random = np.random.default_rng(0)
    for _ in range(200):
        block = files.blocks[random.integers(len(files.blocks))]
        content = bytearray(block.path.read_bytes())
        place = int(random.integers(len(content)))
        content[place] ^= 1 << int(random.integers(8))
        good = block.path.read_bytes()
        block.path.write_bytes(content)
        with pytest.raises(InputError, match="the encoded rows are damaged") as error:
            list(files.chunks())
        assert str(block.path) in str(error.value)
        block.path.write_bytes(good)
    assert len(list(files.chunks())) == 3


def test_a_file_that_is_shorter_or_gone_is_named(tmp_path):
    files = in_files(made_up(120), tmp_path)
    block = files.blocks[1]
    block.path.write_bytes(block.path.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{block.path}: the encoded rows are damaged"):
        files.read([1])
    assert len(files.read([0])) == 50
    block.path.unlink()
    with pytest.raises(InputError, match="does not exist"):
        files.read([1])


def test_all_rows_are_not_loaded_where_they_do_not_fit(tmp_path, monkeypatch):
    files = in_files(made_up(120), tmp_path)
    monkeypatch.setattr("manygate.data.row_files.free_memory", lambda: 2.0 * files.file_bytes - 1)
    with pytest.raises(InputError, match=r"120 encoded rows are needed in memory at once.*baselines='none'"):
        _ = files.id_BS


def test_a_disk_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    writer = RowFilesWriter(tmp_path / "rows")
    shutil.rmtree(tmp_path / "rows")
    with pytest.raises(InputError, match=r"000000\.rows: cannot be written"):
        writer.add(made_up(60))


def test_the_memory_of_files_is_that_of_their_labels(tmp_path):
    rows = made_up(120)
    files = in_files(rows, tmp_path)
    assert isinstance(files, RowFiles)
    assert files.nbytes == rows.without_inputs().nbytes
    assert files.file_bytes == sum(block.path.stat().st_size for block in files.blocks)
