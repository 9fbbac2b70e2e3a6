"""Joining and selecting columns in a form that holds for any number of rows, for one network and for many at once."""

from __future__ import annotations

import pytest
import torch

from manygate.export.traceable import AnyRows, concatenate


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_concatenate_is_cat(dim: int) -> None:
    parts = [torch.arange(6.0).view(2, 3), torch.arange(6.0, 12.0).view(2, 3), torch.zeros(2, 3)]
    assert torch.equal(concatenate(parts, dim), torch.cat(parts, dim))


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("axis", [0, 2])
def test_concatenate_for_all_members_at_once(dim: int, axis: int) -> None:
    """One tensor has an axis of members, the other is the same for all."""
    own, same = torch.arange(24.0).view(4, 2, 3), torch.arange(6.0).view(2, 3)
    found = torch.vmap(lambda x: concatenate([x, same], dim), in_dims=axis)(own.movedim(0, axis))
    expected = torch.stack([torch.cat([member, same], dim) for member in own])
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dim", [0, 1, -1, -2])
def test_index_select_is_an_index(dim: int) -> None:
    value, index = torch.arange(12.0).view(3, 4), torch.tensor([2, 0, 2])
    with AnyRows():
        found = value.index_select(dim, index)
    assert torch.equal(found, value.index_select(dim, index))


def test_one_tensor_and_other_functions_stay_as_they_are() -> None:
    value = torch.ones(2, 3)
    with AnyRows():
        assert torch.cat([value]) is value
        assert torch.equal(torch.stack([value, value]), torch.ones(2, 2, 3))
        assert torch.equal(torch.cat([value, value], dim=-1), torch.ones(2, 6))


def test_no_cat_is_left_in_a_trace() -> None:
    """The operator that replaces it is one node, and holds for any number of rows."""

    class Joined(torch.nn.Module):
        def forward(self, x_BD):
            with AnyRows():
                return torch.vmap(lambda x: torch.cat([x, x.index_select(-1, torch.tensor([0]))], dim=-1))(
                    torch.stack([x_BD, -x_BD])
                )

    rows = torch.export.Dim("rows")
    program = torch.export.export(Joined(), (torch.zeros(5, 2),), dynamic_shapes=({0: rows},), strict=False)
    names = [str(node.target) for node in program.graph.nodes]
    assert "manygate.concatenate.default" in names
    assert not [name for name in names if name.startswith("aten.cat")]
    assert program.module()(torch.ones(7, 2)).shape == (2, 7, 3)
