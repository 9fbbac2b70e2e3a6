"""Tables that any number of processes has written are read by any other number."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from manygate.errors import InputError
from manygate.training.checkpoint import load_checkpoint, newest_checkpoint, read_checkpoint, save_checkpoint
from manygate.training.table_files import STATE, StoredTables, file_of, write_list, write_parts

ROWS, MEMBERS, VECTORS, WIDTH = 7, 3, 2, 4
IN_ROW = MEMBERS * VECTORS
TABLE, SUM = "model|embedding.4", "optimizer|embedding.4|sum"


def tables() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        TABLE: torch.randn(ROWS, MEMBERS, VECTORS * WIDTH, generator=generator),
        SUM: torch.rand(ROWS, MEMBERS, VECTORS, generator=generator),
    }


def vectors(name: str) -> torch.Tensor:
    return tables()[name].view(ROWS * IN_ROW, -1) if name == TABLE else tables()[name].flatten()


def written_whole(folder: Path) -> None:
    save_file(tables(), folder / STATE)


def written_in_parts(folder: Path, bounds: tuple[int, ...] = (0, 5, 23, 42)) -> None:
    """Three processes have a part each, whose bounds are within rows. The parts are listed in another order."""
    ranges = list(zip(bounds, bounds[1:], strict=False))
    for rank, (low, high) in enumerate(ranges):
        write_parts(folder, file_of(rank, 3), [(name, low, vectors(name)[low:high]) for name in (TABLE, SUM)])
    parts = [(file_of(rank, 3), low, high - low) for rank, (low, high) in enumerate(ranges)][::-1]
    write_list(folder, {name: (list(value.shape), parts) for name, value in tables().items()})


@pytest.mark.parametrize("write", [written_whole, written_in_parts])
@pytest.mark.parametrize(("first", "last"), [(0, 42), (0, 1), (4, 24), (5, 23), (41, 42), (13, 14)])
def test_any_range_is_read(tmp_path, write, first, last):
    write(tmp_path)
    stored = StoredTables(tmp_path)
    for name in (TABLE, SUM):
        found = stored.read(name, first, last - first, IN_ROW)
        assert found is not None
        assert torch.equal(found, vectors(name)[first:last])


def test_a_table_that_no_file_has_is_none(tmp_path):
    written_whole(tmp_path)
    assert StoredTables(tmp_path).read("best|embedding.4", 0, 1, IN_ROW) is None


def test_one_process_reads_whole_tables_from_parts(tmp_path):
    save_checkpoint(tmp_path, 5, {"other": torch.ones(2)}, {"step": 5}, written_in_parts)
    tensors, state = load_checkpoint(tmp_path) or ({}, {})
    assert state == {"step": 5}
    assert tensors.keys() == {"other", TABLE, SUM}
    for name, value in tables().items():
        assert torch.equal(tensors[name], value)


def test_a_process_with_parts_does_not_read_whole_tables(tmp_path):
    save_checkpoint(tmp_path, 5, {"other": torch.ones(2), **tables()}, {"step": 5})
    path = newest_checkpoint(tmp_path)
    assert path is not None
    tensors, _ = read_checkpoint(path, but=lambda name: "embedding" in name)
    assert tensors.keys() == {"other"}


def test_a_changed_part_is_an_error(tmp_path):
    save_checkpoint(tmp_path, 5, {"other": torch.ones(2)}, {"step": 5}, written_in_parts)
    part = tmp_path / "step-0000000005" / file_of(1, 3)
    content = bytearray(part.read_bytes())
    content[-1] ^= 1
    part.write_bytes(content)
    with pytest.raises(InputError, match=r"tables-00001-of-00003.safetensors: its sha256 is not that of the manifest"):
        load_checkpoint(tmp_path)
