"""A world of one process changes nothing; the parts of larger ones cover all rows."""

from __future__ import annotations

import pytest
import torch

from manygate.training.world import ALONE, World, length_of, part_of


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [1, 2, 5, 32])
def test_parts_cover_all_rows_once(rows: int, size: int) -> None:
    parts = [range(rows)[part_of(rows, rank, size)] for rank in range(size)]
    assert [row for part in parts for row in part] == list(range(rows))
    assert [len(part) for part in parts] == [length_of(rows, rank, size) for rank in range(size)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_process_without_a_part_runs_on_the_first_row() -> None:
    world = World()
    world.rank, world.size = 0, 3
    assert length_of(2, 0, 3) == 0
    assert world.part(2) == slice(0, 1)


def test_a_world_of_one_changes_nothing() -> None:
    value = torch.rand(2, 5, 3)
    assert ALONE.leads
    assert ALONE.gather(value, 5) is value
    assert ALONE.add_up(value) is value
    assert ALONE.share_of(value[0, 0], 5) is not None
    assert torch.equal(ALONE.share_of(value[0, 0], 5), value[0, 0])
    assert (ALONE.largest(3), ALONE.same("text"), ALONE.checkpoint(None)) == (3, True, None)
