"""The rows that a sparse gradient changes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from manygate.training.table_rows import TableRows, add_up_rows

ROWS, MEMBERS, DIM = 6, 3, 2


def gradient(kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    row_n = torch.tensor([4, 1, 4, 0, 1, 4])
    if kind == "rows":
        index, shape = row_n.unsqueeze(0), (6, MEMBERS, DIM)
    else:
        index, shape = torch.stack([row_n, torch.tensor([0, 2, 0, 1, 2, 1])]), (6, DIM)
    return torch.sparse_coo_tensor(index, torch.randn(shape, generator=generator), (ROWS, MEMBERS, DIM), check_invariants=True)


@pytest.mark.parametrize("kind", ["rows", "pairs"])
def test_gradients_are_added_up_once(kind: str):
    table = torch.zeros(ROWS, MEMBERS, DIM, requires_grad=True)
    table.grad = gradient(kind)
    expected = table.grad.coalesce()
    add_up_rows({"embedding.2": table})
    assert table.grad.is_coalesced()
    assert torch.equal(table.grad.indices(), expected.indices())
    torch.testing.assert_close(table.grad.values(), expected.values())
    same = table.grad
    add_up_rows({"embedding.2": table})
    assert table.grad is same


def test_dense_missing_and_empty_gradients_stay():
    dense, missing, empty = (torch.zeros(ROWS, MEMBERS, DIM, requires_grad=True) for _ in range(3))
    dense.grad = torch.ones(ROWS, MEMBERS, DIM)
    empty.grad = torch.zeros(ROWS, MEMBERS, DIM).to_sparse(1)
    add_up_rows({"a": dense, "b": missing, "c": empty})
    assert (dense.grad == 1).all()
    assert missing.grad is None
    assert TableRows(empty.grad).gradient.shape == (0, MEMBERS, DIM)


@pytest.mark.parametrize("kind", ["rows", "pairs"])
def test_changed_rows_are_read_and_written_and_no_others(kind: str):
    rows = TableRows(gradient(kind).coalesce())
    changed = gradient(kind).to_dense() != 0
    table = torch.arange(float(ROWS * MEMBERS * DIM)).view(ROWS, MEMBERS, DIM).requires_grad_()
    before = table.detach().clone()
    rows.write(table, -rows.read(table))
    assert torch.equal(table.detach(), torch.where(changed, -before, before))
    state = torch.arange(float(ROWS * MEMBERS)).view(ROWS, MEMBERS, 1)
    rows.write(state, rows.read(state) + 100)
    assert torch.equal(state >= 100, changed[..., :1])


@pytest.mark.parametrize("kind", ["rows", "pairs"])
def test_a_value_for_each_member(kind: str):
    rows = TableRows(gradient(kind).coalesce())
    table = torch.ones(ROWS, MEMBERS, DIM)
    rows.write(table, rows.read(table) * rows.by_member(torch.tensor([2.0, 3.0, 4.0])))
    expected = torch.tensor([2.0, 3.0, 4.0]).view(1, -1, 1).expand(ROWS, -1, DIM)
    assert torch.equal(table, torch.where(gradient(kind).to_dense() != 0, expected, 1.0))


def test_a_row_must_not_occur_twice():
    with pytest.raises(AssertionError):
        TableRows(gradient("rows"))
