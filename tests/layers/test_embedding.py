"""Compare the embedding with a plain loop over rows and features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from manygate.data.batches import Batch
from manygate.data.rows import NULL_ROW, UNKNOWN_ROW, Input
from manygate.layers.embedding import Embedding, look_up


def tables_of(embedding: Embedding, replicas: int) -> dict[int, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {dim: torch.randn(rows, replicas, dim, generator=generator) for dim, rows in embedding.rows.items()}


def by_hand(inputs: tuple[Input, ...], chosen: list[Input], tables: dict[int, Any], batch: Batch, replica: int) -> np.ndarray:
    """Compute x row by row: for each width sparse features and then bags; after that dense numbers, and then null flags."""
    column = {feature.name: [i.name for i in inputs if i.kind == feature.kind].index(feature.name) for feature in inputs}
    result = []
    for b in range(len(batch)):
        row: list[float] = []
        for dim in sorted({i.dim for i in chosen if i.dim}):
            start, starts = 0, {}
            for feature in chosen:
                if feature.dim == dim:
                    starts[feature.name] = start
                    start += feature.rows
            table = tables[dim][:, replica].numpy()
            for feature in (i for i in chosen if i.dim == dim and i.kind == "sparse"):
                row += table[starts[feature.name] + int(batch.id_BS[b, column[feature.name]])].tolist()
            for feature in (i for i in chosen if i.dim == dim and i.kind == "bag"):
                value, offset = batch.bags[column[feature.name]]
                ids = value[offset[b] : offset[b + 1]].tolist()
                total = np.zeros(dim)
                for i in ids:
                    total += table[starts[feature.name] + i]
                row += (total / max(len(ids), 1) if feature.pooling == "mean" else total).tolist()
        dense = [i for i in chosen if i.kind == "dense"]
        for feature in dense:
            number = float(batch.number_BM[b, column[feature.name]])
            number = 0.0 if np.isnan(number) else number
            row += [min(max(number - j, 0.0), 1.0) if feature.unfold else number for j in range(feature.units)]
        row += [float(batch.number_BM[b, column[feature.name]].isnan()) for feature in dense if feature.flag]
        result.append(row)
    return np.array(result)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_equals_the_loop(toy_inputs, toy_batch, sparse, bias):
    inputs = toy_inputs()
    chosen = [i for i in inputs if i.bias == bias]
    embedding = Embedding(inputs, chosen)
    tables, batch = tables_of(embedding, 3), toy_batch(inputs, 11, 2)
    x_RBD = embedding(tables, batch, 3, sparse)
    assert x_RBD.shape == (3, 11, embedding.width)
    for r in range(3):
        np.testing.assert_allclose(x_RBD[r].numpy(), by_hand(inputs, chosen, tables, batch, r), rtol=1e-5, atol=1e-6)


def test_bags_of_both_poolings_and_empty_ones():
    inputs = (Input("m", "bag", False, rows=5, dim=2, pooling="mean"), Input("s", "bag", False, rows=5, dim=2, pooling="sum"))
    embedding = Embedding(inputs, list(inputs))
    table = torch.arange(20.0).view(10, 1, 2)
    bag = torch.tensor([2, 4, 4], dtype=torch.int32), torch.tensor([0, 0, 3, 3])
    batch = Batch(torch.zeros(3, 0, dtype=torch.int32), torch.zeros(3, 0), [bag, bag], torch.zeros(3, 1), torch.ones(3, 1))
    x_BD = embedding({2: table}, batch, 1)[0]
    mean = (table[2, 0] + 2 * table[4, 0]) / 3
    total = table[7, 0] + 2 * table[9, 0]
    torch.testing.assert_close(x_BD[1], torch.cat([mean, total]))
    assert (x_BD[[0, 2]] == 0).all()


def test_null_and_unknown_rows_start_at_zero_in_every_feature(toy_inputs):
    inputs = toy_inputs(bias=False)
    embedding = Embedding(inputs, list(inputs))
    tables, start = embedding.initial_tables(), dict.fromkeys(embedding.dims, 0)
    for feature in (i for i in inputs if i.dim):
        rows = tables[feature.dim][start[feature.dim] : start[feature.dim] + feature.rows]
        assert (rows[[NULL_ROW, UNKNOWN_ROW]] == 0).all()
        assert (rows[2:] != 0).all()
        start[feature.dim] += feature.rows
    assert {dim: len(table) for dim, table in tables.items()} == start


def test_numbers_of_an_unfolding_scale_become_steps():
    inputs = (Input("u", "dense", False, units=3, unfold=True), Input("v", "dense", False, units=1, flag=True))
    embedding = Embedding(inputs, list(inputs))
    numbers = torch.tensor([[0.0, -4.0], [1.5, 9.0], [3.0, float("nan")], [float("nan"), 0.5]])
    batch = Batch(torch.zeros(4, 0, dtype=torch.int32), numbers, [], torch.zeros(4, 1), torch.ones(4, 1))
    x_BD = embedding({}, batch, 2)
    expected = [[0, 0, 0, -4, 0], [1, 0.5, 0, 9, 0], [1, 1, 1, 0, 1], [0, 0, 0, 0.5, 0]]
    assert x_BD.tolist() == [expected, expected]


def test_nothing_to_read_gives_no_columns(toy_inputs, toy_batch):
    inputs = toy_inputs(bias=False)
    embedding = Embedding(inputs, [])
    assert embedding.width == 0
    assert embedding({}, toy_batch(inputs, 5, 1), 2).shape == (2, 5, 0)


def test_hide_makes_bias_features_null_on_the_chosen_rows_alone(toy_inputs, toy_batch):
    inputs = toy_inputs()
    batch = toy_batch(inputs, 12, 1)
    before = batch.id_BS.clone(), batch.number_BM.clone()
    hidden = torch.arange(12) % 3 == 0
    shown = Embedding(inputs, [i for i in inputs if i.bias]).hide(batch, hidden)
    p, q = 3, 2  # the columns of bias features p and q among the sparse and the dense features
    assert (shown.id_BS[hidden, p] == NULL_ROW).all()
    assert shown.number_BM[hidden, q].isnan().all()
    assert torch.equal(shown.id_BS[~hidden], before[0][~hidden])
    assert torch.equal(shown.id_BS[:, :p], before[0][:, :p])
    assert shown.number_BM[~hidden].equal(before[1][~hidden]) or torch.allclose(
        shown.number_BM[~hidden], before[1][~hidden], equal_nan=True
    )
    assert torch.equal(batch.id_BS, before[0]), "the batch itself must stay as it was"


def test_sparse_and_dense_gradients_are_the_same():
    row_n = torch.tensor([4, 1, 4, 0])
    weight = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(1))
    gradients = []
    for sparse in (False, True):
        table = torch.ones(6, 3, 2, requires_grad=True)
        (look_up(table, row_n, sparse) * weight).sum().backward()
        assert table.grad is not None
        assert table.grad.is_sparse == sparse
        gradients.append(table.grad.to_dense() if sparse else table.grad)
    assert torch.equal(*gradients)
    assert (gradients[0][[2, 3, 5]] == 0).all()
    assert torch.equal(gradients[0][4], weight[0] + weight[2])


@pytest.mark.parametrize("copies", [2, 3])
def test_copies_are_inputs_of_their_own_one_after_the_other(toy_inputs, toy_batch, copies):
    inputs = toy_inputs()
    batch = toy_batch(inputs, 9, 2)
    chosen = [i for i in inputs if not i.bias]
    single, several = Embedding(inputs, chosen), Embedding(inputs, chosen, copies=copies)
    assert several.width == single.width
    tables = {dim: torch.randn(rows, 2, copies * dim) for dim, rows in several.rows.items()}
    x_RBD = several(tables, batch, 2)
    assert x_RBD.shape == (2, 9, copies * single.width)
    for k, x_RBW in enumerate(x_RBD.chunk(copies, dim=-1)):
        part_tables = {dim: table[..., k * dim : (k + 1) * dim] for dim, table in tables.items()}
        assert torch.equal(x_RBW, single(part_tables, batch, 2))


def test_columns_of_a_feature_are_those_that_it_changes(toy_inputs, toy_batch):
    inputs = toy_inputs()
    embedding, batch = Embedding(inputs, [i for i in inputs if not i.bias]), toy_batch(inputs, 50, 1)
    tables = tables_of(embedding, 1)
    x_BD = embedding(tables, batch, 1)[0]
    sparse = [i.name for i in inputs if i.kind == "sparse"]
    dense = [i.name for i in inputs if i.kind == "dense"]
    for name in ("a", "d", "b", "f"):
        changed = toy_batch(inputs, 50, 1)
        if name in sparse:
            rows = next(i.rows for i in inputs if i.name == name)
            changed.id_BS[:, sparse.index(name)] = (changed.id_BS[:, sparse.index(name)] + 1) % rows
        else:
            old = changed.number_BM[:, dense.index(name)]
            changed.number_BM[:, dense.index(name)] = torch.where(old.isnan(), 0.3, float("nan"))
            changed.number_BM[::2, dense.index(name)] = 2.7
        differs = (embedding(tables, changed, 1)[0] != x_BD).any(dim=0).nonzero().squeeze(-1).tolist()
        assert tuple(differs) == embedding.columns_of([name])
    every = [i.name for i in inputs if not i.bias]
    assert embedding.columns_of(every) == tuple(range(embedding.width))
    assert embedding.columns_of([]) == ()


def test_tables_drawn_some_rows_at_a_time_are_the_same(toy_inputs, monkeypatch):
    """The last rows are drawn with those before, because a draw of less than 16 numbers has other numbers."""
    monkeypatch.setattr("manygate.layers.embedding.ROWS_AT_ONCE", 16)
    inputs = (*toy_inputs(bias=False), Input("h", "sparse", False, rows=50, dim=3), Input("i", "bag", False, rows=10, dim=2))
    embedding = Embedding(inputs, inputs, copies=2)
    torch.manual_seed(3)
    tables = embedding.initial_tables()
    torch.manual_seed(3)
    rows = list(embedding.initial_rows())
    assert len(rows) > len(tables)
    for dim, table in tables.items():
        found = [(first, value) for width, first, value in rows if width == dim]
        assert [first for first, _ in found] == [0, *np.cumsum([len(value) for _, value in found])[:-1]]
        assert torch.equal(torch.cat([value for _, value in found]), table)


def test_a_table_of_the_rows_of_a_batch_gives_the_same(toy_inputs, toy_batch):
    inputs = toy_inputs(bias=False)
    embedding, batch = Embedding(inputs, inputs), toy_batch(inputs, size=9, tasks=1)
    tables, small, places = tables_of(embedding, 2), {}, {}
    for dim, parts in embedding.rows_read(batch).items():
        row_n, place_n = torch.cat([part.flatten() for part in parts]).unique(return_inverse=True)
        small[dim] = tables[dim][row_n]
        split = place_n.split([part.numel() for part in parts])
        places[dim] = [place.view(part.shape) for place, part in zip(split, parts, strict=True)]
    assert torch.equal(embedding(small, batch, 2, rows=places), embedding(tables, batch, 2))
