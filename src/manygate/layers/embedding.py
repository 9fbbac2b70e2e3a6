"""Turns ids and numbers into a model's input, for many replicas at once.

Shape suffixes: B batch, V rows of a table, R replicas, C columns of one part, K copies, D width of the whole input, n looked-up
rows, d width of a row.

All features of one width share one table, (V, R, dim). So one gather is enough for all features and all replicas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from manygate.data.batches import Batch
from manygate.data.rows import FIRST_ROW, Input
from manygate.kernels.rows import read_rows

INITIAL_SD = 0.1
ROWS_AT_ONCE = 65_536
"""The number of rows of a table that are drawn at once where no process holds the table. It is a multiple of 16: a normal
distribution is drawn in groups of 16 numbers, so that groups of rows have the numbers of the whole table."""


class Embedding(nn.Module):
    """Computes x from a batch: the embeddings of ids, dense numbers and null flags. The caller passes the embedding tables.

    ``inputs`` lists every feature of the encoder. ``chosen`` lists the features that this embedding reads, for example all but the
    bias features.

    With ``copies`` K, every id has K vectors side by side in its row. x then has K parts one after the other, each of ``width``
    columns. The dense numbers are the same in all parts.

    **Shape**: tables {dim: (V, R, K dim)}, batch of B rows -> x_RBD with D = K width. The rows are the same for all replicas, or
    each replica has its own (see :class:`manygate.data.batches.Batch`). The order of the columns in a part is: sparse features and
    bags by the width of their embedding, then dense numbers, then null flags.
    """

    def __init__(self, inputs: Sequence[Input], chosen: Sequence[Input], copies: int = 1):
        super().__init__()
        self.inputs, self.chosen, self.copies = tuple(inputs), tuple(chosen), copies
        names = {kind: [i.name for i in inputs if i.kind == kind] for kind in ("sparse", "bag", "dense")}
        self.dims = tuple(sorted({i.dim for i in chosen if i.dim}))
        self.rows: dict[int, int] = {}
        self.bags: dict[int, list[tuple[int, int, str]]] = {}
        for dim in self.dims:
            offset, columns, offsets, bags = 0, [], [], []
            for feature in (i for i in chosen if i.dim == dim):
                column = names[feature.kind].index(feature.name)
                if feature.kind == "sparse":
                    columns.append(column)
                    offsets.append(offset)
                else:
                    bags.append((column, offset, feature.pooling))
                offset += feature.rows
            self.rows[dim], self.bags[dim] = offset, bags
            self.register_buffer(f"columns_{dim}", torch.tensor(columns, dtype=torch.long), persistent=False)
            self.register_buffer(f"offsets_{dim}", torch.tensor(offsets, dtype=torch.long), persistent=False)
        self._dense([i for i in chosen if i.kind == "dense"], names["dense"])
        self.width = (
            sum(dim * (len(getattr(self, f"columns_{dim}")) + len(self.bags[dim])) for dim in self.dims)
            + len(self.source)
            + len(self.flags)
        )

    source: Tensor
    shift: Tensor
    low: Tensor
    high: Tensor
    flags: Tensor

    def _dense(self, dense: list[Input], names: list[str]) -> None:
        """Set the buffers for dense numbers.

        A feature whose scale unfolds has several columns. Column j of its encoded number u is clamp(u - j, 0, 1). The column of
        another feature is u itself.
        """
        columns = [(names.index(i.name), j, i.unfold) for i in dense for j in range(i.units)]
        infinite = float("inf")
        buffers = {
            "source": torch.tensor([source for source, _, _ in columns], dtype=torch.long),
            "shift": torch.tensor([float(j) for _, j, _ in columns]),
            "low": torch.tensor([0.0 if unfold else -infinite for _, _, unfold in columns]),
            "high": torch.tensor([1.0 if unfold else infinite for _, _, unfold in columns]),
            "flags": torch.tensor([names.index(i.name) for i in dense if i.flag], dtype=torch.long),
        }
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor, persistent=False)
        self.copies_numbers = not any(i.unfold for i in dense) and [c for c, _, _ in columns] == list(range(len(names)))

    def initial_tables(self) -> dict[int, Tensor]:
        """Draw one replica's tables {dim: (V, K dim)} from a normal distribution with a standard deviation of 0.1.

        The null row and the unseen-id row of every feature are zero.
        """
        tables = {dim: torch.empty(self.rows[dim], self.copies * dim).normal_(0.0, INITIAL_SD) for dim in self.dims}
        for dim in self.dims:
            for _, first in self.features(dim):
                tables[dim][first : first + FIRST_ROW] = 0.0
        return tables

    def initial_rows(self) -> Iterator[tuple[int, int, Tensor]]:
        """Draw the tables of :meth:`initial_tables` some rows at a time: the width, the first row and the rows (n, K dim)."""
        for dim in self.dims:
            null = torch.cat([torch.arange(first, first + FIRST_ROW) for _, first in self.features(dim)])
            first, total = 0, self.rows[dim]
            while first < total:
                last = total if total - first < 2 * ROWS_AT_ONCE else first + ROWS_AT_ONCE
                value = torch.empty(last - first, self.copies * dim).normal_(0.0, INITIAL_SD)
                value[null[(null >= first) & (null < last)] - first] = 0.0
                yield dim, first, value
                first = last

    def features(self, dim: int) -> list[tuple[Input, int]]:
        """Return the features in the table of a width, each with its first row there."""
        found, first = [], 0
        for feature in (i for i in self.chosen if i.dim == dim):
            found.append((feature, first))
            first += feature.rows
        return found

    def rows_read(self, batch: Batch) -> dict[int, list[Tensor]]:
        """Return the rows that a batch reads from the table of each width.

        The first entry has those of the sparse features, (B, C), or (R, B, C) if each replica has its own rows. The others have
        those of each bag, (n,).
        """
        return {dim: self._rows_read(dim, batch) for dim in self.dims}

    def _rows_read(self, dim: int, batch: Batch) -> list[Tensor]:
        columns, offsets = getattr(self, f"columns_{dim}"), getattr(self, f"offsets_{dim}")
        id_BC = batch.id_BS if len(columns) == batch.id_BS.shape[-1] else batch.id_BS.index_select(-1, columns)
        return [id_BC.long() + offsets, *(batch.bags[column][0].long() + offset for column, offset, _ in self.bags[dim])]

    def forward(
        self,
        tables: dict[int, Tensor],
        batch: Batch,
        replicas: int,
        sparse: bool = False,
        rows: dict[int, list[Tensor]] | None = None,
    ) -> Tensor:
        """``rows`` are the rows to read where they are not :meth:`rows_read`: the tables then hold the rows of the batch alone."""
        rows = rows or self.rows_read(batch)
        parts = []
        for dim in self.dims:
            parts += self._embedded(tables[dim], dim, batch, sparse, rows[dim])
        if len(self.source) or len(self.flags):
            parts.append(self._numbers(batch.number_BM).unsqueeze(-2).expand(replicas, -1, self.copies, -1))
        if not parts:
            return batch.number_BM.new_zeros(replicas, len(batch), 0)
        return (torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]).flatten(2)

    def columns_of(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the columns of x (of its first part) that hold the named features, their null flags and target statistics."""
        feature_D: list[str] = []
        for dim in self.dims:
            alike = [i for i in self.chosen if i.dim == dim]
            feature_D += [i.feature for kind in ("sparse", "bag") for i in alike if i.kind == kind for _ in range(dim)]
        dense = [i for i in self.chosen if i.kind == "dense"]
        feature_D += [i.feature for i in dense for _ in range(i.units)] + [i.feature for i in dense if i.flag]
        assert len(feature_D) == self.width
        return tuple(column for column, name in enumerate(feature_D) if name in names)

    def hide(self, batch: Batch, hidden_B: Tensor) -> Batch:
        """Copy the batch with the chosen sparse and dense features null on the rows where ``hidden_B`` is true."""
        id_BS, number_BM = batch.id_BS.clone(), batch.number_BM.clone()
        for feature in self.chosen:
            column = [i.name for i in self.inputs if i.kind == feature.kind].index(feature.name)
            if feature.kind == "sparse":
                id_BS[..., hidden_B, column] = 0
            elif feature.kind == "dense":
                number_BM[..., hidden_B, column] = float("nan")
        return replace(batch, id_BS=id_BS, number_BM=number_BM)

    def _embedded(self, table_VRd: Tensor, dim: int, batch: Batch, sparse: bool, rows: list[Tensor]) -> list[Tensor]:
        parts = []
        row_BC, *bag_rows = rows
        size, replicas = len(batch), table_VRd.shape[1]
        if row_BC.shape[-1]:
            if batch.replicas is None:
                vector_BCRKd = look_up(table_VRd, row_BC.flatten(), sparse).view(size, -1, replicas, self.copies, dim)
                parts.append(vector_BCRKd.permute(2, 0, 3, 1, 4).reshape(replicas, size, self.copies, -1))
            else:
                vector_RBCKd = look_up_by_replica(table_VRd, row_BC.flatten(1), sparse).view(replicas, size, -1, self.copies, dim)
                parts.append(vector_RBCKd.transpose(2, 3).flatten(3))
        for (column, _, pooling), row_n in zip(self.bags[dim], bag_rows, strict=True):
            length_B = batch.bags[column][1].diff()
            bag_n = torch.repeat_interleave(torch.arange(len(length_B), device=row_n.device), length_B)
            if batch.replicas is None:
                vector_nRd = look_up(table_VRd, row_n, sparse)
                pooled_BRd = vector_nRd.new_zeros(size, replicas, self.copies * dim).index_add(0, bag_n, vector_nRd)
            else:
                vector_nd = look_up_pairs(table_VRd, row_n, bag_n // size, sparse)
                pooled_Nd = vector_nd.new_zeros(replicas * size, self.copies * dim).index_add(0, bag_n, vector_nd)
                pooled_BRd, length_B = pooled_Nd.view(replicas, size, -1).transpose(0, 1), length_B.view(replicas, size).t()
            if pooling == "mean":
                pooled_BRd = pooled_BRd / length_B.clamp(min=1).view(size, -1, 1)
            parts.append(pooled_BRd.transpose(0, 1).unflatten(-1, (self.copies, dim)))
        return parts

    def _numbers(self, number_BM: Tensor) -> Tensor:
        number_BC = number_BM.nan_to_num(nan=0.0) if len(self.flags) else number_BM  # a feature without a flag is never null
        if not self.copies_numbers:
            number_BC = torch.clamp(number_BC.index_select(-1, self.source) - self.shift, self.low, self.high)
        if not len(self.flags):
            return number_BC
        return torch.cat([number_BC, number_BM.index_select(-1, self.flags).isnan().to(number_BM.dtype)], dim=-1)


def look_up(table_VRd: Tensor, row_n: Tensor, sparse: bool) -> Tensor:
    """Return rows of a table, (n, R, d). With ``sparse`` the gradient is sparse, and only these rows are updated.

    For the dense gradient it calls ``index_select`` and not ``embedding``. The backward pass of ``index_select`` is an
    ``index_add``, which is tens of times faster on a CPU.
    """
    if not sparse:
        return table_VRd.index_select(0, row_n)
    vector_nRd: Tensor = _SparseLookUp.apply(table_VRd, row_n)
    return vector_nRd


def look_up_by_replica(table_VRd: Tensor, row_Rn: Tensor, sparse: bool) -> Tensor:
    """Return for each replica its own rows of its own table, (R n, d)."""
    replica_Rn = torch.arange(len(row_Rn), device=row_Rn.device).unsqueeze(1).expand_as(row_Rn)
    return look_up_pairs(table_VRd, row_Rn.flatten(), replica_Rn.flatten(), sparse)


def look_up_pairs(table_VRd: Tensor, row_n: Tensor, replica_n: Tensor, sparse: bool) -> Tensor:
    """Return the rows ``row_n`` of the tables of replicas ``replica_n``, (n, d). ``sparse`` makes the gradient sparse in both."""
    if sparse:
        vector_nd: Tensor = _SparsePairs.apply(table_VRd, row_n, replica_n)
        return vector_nd
    return table_VRd.flatten(0, 1).index_select(0, row_n * table_VRd.shape[1] + replica_n)


class _SparsePairs(torch.autograd.Function):
    """Selects by row and replica. Its gradient is sparse in these two dimensions."""

    @staticmethod
    def forward(ctx: Any, table_VRd: Tensor, row_n: Tensor, replica_n: Tensor) -> Tensor:
        ctx.save_for_backward(row_n, replica_n)
        ctx.shape = table_VRd.shape
        return read_rows(table_VRd.flatten(0, 1), row_n * table_VRd.shape[1] + replica_n)

    @staticmethod
    def backward(ctx: Any, gradient_nd: Tensor) -> tuple[Tensor, None, None]:
        index_2n = torch.stack(ctx.saved_tensors)
        return torch.sparse_coo_tensor(index_2n, gradient_nd, ctx.shape, check_invariants=False), None, None


class _SparseLookUp(torch.autograd.Function):
    """An ``index_select`` with a sparse gradient. ``embedding(sparse=True)`` supports only tables of two dimensions."""

    @staticmethod
    def forward(ctx: Any, table_VRd: Tensor, row_n: Tensor) -> Tensor:
        ctx.save_for_backward(row_n)
        ctx.shape = table_VRd.shape
        return read_rows(table_VRd, row_n)

    @staticmethod
    def backward(ctx: Any, gradient_nRd: Tensor) -> tuple[Tensor, None]:
        (row_n,) = ctx.saved_tensors
        return torch.sparse_coo_tensor(row_n.unsqueeze(0), gradient_nRd, ctx.shape, check_invariants=False), None
