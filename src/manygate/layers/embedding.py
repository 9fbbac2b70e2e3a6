"""Ids and numbers to a model's input, for many replicas at once.

Shape suffixes: B batch, V rows of a table, R replicas, C columns of one part, K copies, D width of the whole input.

All features of one width share one table, kept as (V, R, dim), so that one gather serves every feature and every replica.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from manygate.data.batches import Batch
from manygate.data.rows import FIRST_ROW, Input

INITIAL_SD = 0.1


class Embedding(nn.Module):
    """Where each feature's ids and numbers go in x_BD; the tables themselves are passed in.

    ``inputs`` lists every feature of the encoder, ``chosen`` those that this embedding reads (all but the bias features, say).

    With ``copies`` K every id has K vectors, side by side in its row, and x is K inputs one after the other, each of ``width``;
    dense numbers are the same in all of them.

    **Shape**: tables {dim: (V, R, K dim)}, batch of B rows -> x_RBD with D = K width; the rows are the same for all replicas, or
    each one's own (see :class:`manygate.data.batches.Batch`). The order in each of the K: sparse features and bags by width of
    their embedding, then dense numbers, then null flags.
    """

    def __init__(self, inputs: Sequence[Input], chosen: Sequence[Input], copies: int = 1):
        super().__init__()
        self.inputs, self.chosen, self.copies = tuple(inputs), tuple(chosen), copies
        position = {kind: [i.name for i in inputs if i.kind == kind] for kind in ("sparse", "bag", "dense")}
        self.dims = tuple(sorted({i.dim for i in chosen if i.dim}))
        self.rows: dict[int, int] = {}
        self.bags: dict[int, list[tuple[int, int, str]]] = {}
        for dim in self.dims:
            offset, columns, offsets, bags = 0, [], [], []
            for feature in (i for i in chosen if i.dim == dim):
                place = position[feature.kind].index(feature.name)
                if feature.kind == "sparse":
                    columns.append(place)
                    offsets.append(offset)
                else:
                    bags.append((place, offset, feature.pooling))
                offset += feature.rows
            self.rows[dim], self.bags[dim] = offset, bags
            self.register_buffer(f"columns_{dim}", torch.tensor(columns, dtype=torch.long), persistent=False)
            self.register_buffer(f"offsets_{dim}", torch.tensor(offsets, dtype=torch.long), persistent=False)
        self._dense([i for i in chosen if i.kind == "dense"], position["dense"])
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

    def _dense(self, dense: list[Input], position: list[str]) -> None:
        """Column j of a dense feature's place u is clamp(u - j, 0, 1) where its scale unfolds, and u itself where not."""
        columns = [(position.index(i.name), j, i.unfold) for i in dense for j in range(i.units)]
        infinite = float("inf")
        buffers = {
            "source": torch.tensor([place for place, _, _ in columns], dtype=torch.long),
            "shift": torch.tensor([float(j) for _, j, _ in columns]),
            "low": torch.tensor([0.0 if unfold else -infinite for _, _, unfold in columns]),
            "high": torch.tensor([1.0 if unfold else infinite for _, _, unfold in columns]),
            "flags": torch.tensor([position.index(i.name) for i in dense if i.flag], dtype=torch.long),
        }
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor, persistent=False)
        self.as_they_are = not any(i.unfold for i in dense) and [place for place, _, _ in columns] == list(range(len(position)))

    def initial_tables(self) -> dict[int, Tensor]:
        """One replica's tables {dim: (V, K dim)}: normal, but zero in the null and out-of-vocabulary rows of every feature."""
        tables = {dim: torch.empty(self.rows[dim], self.copies * dim).normal_(0.0, INITIAL_SD) for dim in self.dims}
        for dim in self.dims:
            offset = 0
            for feature in (i for i in self.chosen if i.dim == dim):
                tables[dim][offset : offset + FIRST_ROW] = 0.0
                offset += feature.rows
        return tables

    def forward(self, tables: dict[int, Tensor], batch: Batch, replicas: int, sparse: bool = False) -> Tensor:
        parts = []
        for dim in self.dims:
            parts += self._embedded(tables[dim], dim, batch, sparse)
        if len(self.source) or len(self.flags):
            parts.append(self._numbers(batch.number_BM).unsqueeze(-2).expand(replicas, -1, self.copies, -1))
        if not parts:
            return batch.number_BM.new_zeros(replicas, len(batch), 0)
        return (torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]).flatten(2)

    def columns_of(self, names: Sequence[str]) -> tuple[int, ...]:
        """The columns of x (of one copy) in which some features lie, null flags included."""
        owner = []
        for dim in self.dims:
            alike = [i for i in self.chosen if i.dim == dim]
            owner += [i.name for kind in ("sparse", "bag") for i in alike if i.kind == kind for _ in range(dim)]
        dense = [i for i in self.chosen if i.kind == "dense"]
        owner += [i.name for i in dense for _ in range(i.units)] + [i.name for i in dense if i.flag]
        assert len(owner) == self.width
        return tuple(column for column, name in enumerate(owner) if name in names)

    def hide(self, batch: Batch, hidden_B: Tensor) -> Batch:
        """A copy of the batch with the chosen sparse and dense features null on the rows where ``hidden_B`` is true."""
        id_BS, number_BM = batch.id_BS.clone(), batch.number_BM.clone()
        for feature in self.chosen:
            place = [i.name for i in self.inputs if i.kind == feature.kind].index(feature.name)
            if feature.kind == "sparse":
                id_BS[..., hidden_B, place] = 0
            elif feature.kind == "dense":
                number_BM[..., hidden_B, place] = float("nan")
        return replace(batch, id_BS=id_BS, number_BM=number_BM)

    def _embedded(self, table_VRd: Tensor, dim: int, batch: Batch, sparse: bool) -> list[Tensor]:
        parts = []
        columns, offsets = getattr(self, f"columns_{dim}"), getattr(self, f"offsets_{dim}")
        size, replicas = len(batch), table_VRd.shape[1]
        if len(columns):
            id_BC = batch.id_BS if len(columns) == batch.id_BS.shape[-1] else batch.id_BS.index_select(-1, columns)
            row_BC = id_BC.long() + offsets
            if batch.replicas is None:
                vector_BCRKd = look_up(table_VRd, row_BC.flatten(), sparse).view(size, -1, replicas, self.copies, dim)
                parts.append(vector_BCRKd.permute(2, 0, 3, 1, 4).reshape(replicas, size, self.copies, -1))
            else:
                vector_RBCKd = look_up_own(table_VRd, row_BC.flatten(1), sparse).view(replicas, size, -1, self.copies, dim)
                parts.append(vector_RBCKd.transpose(2, 3).flatten(3))
        for place, offset, pooling in self.bags[dim]:
            value_n, start = batch.bags[place]
            length_B = start.diff()
            bag_n = torch.repeat_interleave(torch.arange(len(length_B), device=start.device), length_B)
            row_n = value_n.long() + offset
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
        place_BC = number_BM.nan_to_num(nan=0.0) if len(self.flags) else number_BM  # nothing without a flag is ever null
        if not self.as_they_are:
            place_BC = torch.clamp(place_BC.index_select(-1, self.source) - self.shift, self.low, self.high)
        if not len(self.flags):
            return place_BC
        return torch.cat([place_BC, number_BM.index_select(-1, self.flags).isnan().to(number_BM.dtype)], dim=-1)


def look_up(table_VRd: Tensor, row_n: Tensor, sparse: bool) -> Tensor:
    """Rows of a table, (n, R, dim). The gradient is sparse if asked: then only these rows are updated.

    ``index_select`` and not ``embedding`` for the dense gradient: its backward is an ``index_add``, tens of times faster on CPU.
    """
    if not sparse:
        return table_VRd.index_select(0, row_n)
    vector_nRd: Tensor = _SparseLookUp.apply(table_VRd, row_n)
    return vector_nRd


def look_up_own(table_VRd: Tensor, row_Rn: Tensor, sparse: bool) -> Tensor:
    """Each replica's own rows of its own table, (R n, d)."""
    replica_Rn = torch.arange(len(row_Rn), device=row_Rn.device).unsqueeze(1).expand_as(row_Rn)
    return look_up_pairs(table_VRd, row_Rn.flatten(), replica_Rn.flatten(), sparse)


def look_up_pairs(table_VRd: Tensor, row_n: Tensor, replica_n: Tensor, sparse: bool) -> Tensor:
    """Rows of some replicas' tables, (n, d). The gradient is sparse if asked, in rows and replicas."""
    if sparse:
        vector_nd: Tensor = _SparsePairs.apply(table_VRd, row_n, replica_n)
        return vector_nd
    return table_VRd.flatten(0, 1).index_select(0, row_n * table_VRd.shape[1] + replica_n)


class _SparsePairs(torch.autograd.Function):
    """Rows by row and replica, with a sparse gradient of these two dimensions."""

    @staticmethod
    def forward(ctx: Any, table_VRd: Tensor, row_n: Tensor, replica_n: Tensor) -> Tensor:
        ctx.save_for_backward(row_n, replica_n)
        ctx.shape = table_VRd.shape
        return table_VRd[row_n, replica_n]

    @staticmethod
    def backward(ctx: Any, gradient_nd: Tensor) -> tuple[Tensor, None, None]:
        place_2n = torch.stack(ctx.saved_tensors)
        return torch.sparse_coo_tensor(place_2n, gradient_nd, ctx.shape, check_invariants=False), None, None


class _SparseLookUp(torch.autograd.Function):
    """``index_select`` whose gradient is a sparse tensor; ``embedding(sparse=True)`` knows only tables of two dimensions."""

    @staticmethod
    def forward(ctx: Any, table_VRd: Tensor, row_n: Tensor) -> Tensor:
        ctx.save_for_backward(row_n)
        ctx.shape = table_VRd.shape
        return table_VRd.index_select(0, row_n)

    @staticmethod
    def backward(ctx: Any, gradient_nRd: Tensor) -> tuple[Tensor, None]:
        (row_n,) = ctx.saved_tensors
        return torch.sparse_coo_tensor(row_n.unsqueeze(0), gradient_nRd, ctx.shape, check_invariants=False), None
