"""Whole batches, never rows: encoded rows as tensors, gathered in an order that depends on the seed and the epoch alone.

Shape suffixes: N rows of a split, B rows of a batch, S sparse features, M dense features, T tasks, R replicas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from manygate.data.order import GroupOrder, Order
from manygate.data.rows import Input, Rows


@dataclass
class Batch:
    """One batch on one device. Shapes as in :class:`manygate.data.rows.Rows`; bags are (ids, offsets) of B + 1.

    Where each replica has rows of its own, every tensor has an axis R more, the first one, and bags have R B + 1 offsets: those of
    replica 0 first.
    """

    id_BS: Tensor
    number_BM: Tensor
    bags: list[tuple[Tensor, Tensor]]
    label_BT: Tensor
    weight_BT: Tensor
    group_B: Tensor | None = None

    def __len__(self) -> int:
        """Rows that one replica sees."""
        return self.label_BT.shape[-2]

    @property
    def replicas(self) -> int | None:
        """The number of replicas with rows of their own; None where all see the same rows."""
        return len(self.label_BT) if self.label_BT.ndim == 3 else None

    def for_replicas(self, replicas: int) -> Batch:
        """The batch with each row given to each replica as its own. A batch of rows that are each replica's own stays as it is."""
        if self.replicas is not None:
            return self
        every = torch.arange(len(self), device=self.label_BT.device).repeat(replicas)

        def repeated(value: Tensor) -> Tensor:
            return value.expand(replicas, *value.shape).contiguous()

        return Batch(
            repeated(self.id_BS),
            repeated(self.number_BM),
            [_take_bag(value, offset, every) for value, offset in self.bags],
            repeated(self.label_BT),
            repeated(self.weight_BT),
            None if self.group_B is None else repeated(self.group_B),
        )

    def for_members(self, members: int) -> Batch:
        """The batch of M members, where a replica is M / R of them."""
        if self.replicas is None or self.replicas == members:
            return self
        times, size = members // self.replicas, len(self)
        row_N = torch.arange(self.replicas * size, device=self.label_BT.device).view(-1, size).repeat_interleave(times, dim=0)
        return replace(
            self,
            id_BS=self.id_BS.repeat_interleave(times, dim=0),
            number_BM=self.number_BM.repeat_interleave(times, dim=0),
            bags=[_take_bag(value, offset, row_N.flatten()) for value, offset in self.bags],
        )

    def part(self, rows: slice) -> Batch:
        """Return some of the rows, in their order; with rows of each replica's own, those of every replica."""
        if rows == slice(0, len(self)):
            return self
        start_R = torch.arange(self.replicas or 1, device=self.label_BT.device).unsqueeze(1) * len(self)
        row_N = (start_R + torch.arange(rows.start, rows.stop, device=self.label_BT.device)).flatten()
        return Batch(
            self.id_BS[..., rows, :],
            self.number_BM[..., rows, :],
            [_take_bag(value, offset, row_N) for value, offset in self.bags],
            self.label_BT[..., rows, :],
            self.weight_BT[..., rows, :],
            None if self.group_B is None else self.group_B[..., rows],
        )


class Source(Protocol):
    """The source of a training run's rows: a :class:`Split`, or rows that are drawn as they are needed."""

    def __len__(self) -> int:
        """Rows of an epoch."""

    @property
    def device(self) -> torch.device:
        """The device of the batches."""

    def batches(self, seed: int, epoch: int, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from batch ``first`` on."""

    def resampled(self, seeds: Sequence[int], bootstrap: bool) -> Source:
        """Return the rows with an order, or a sample, for each replica. Rows that are drawn for each replica stay as they are."""

    def id_counts(self, sparse: Sequence[Input], bags: Sequence[Input]) -> list[Tensor]:
        """Count how often the training rows hold each row of each feature's table: the sparse features first, then the bags."""


class Ordered(Protocol):
    """Rows of a log that give batches in any order: in memory, or in files."""

    def __len__(self) -> int:
        """All rows."""

    @property
    def device(self) -> torch.device:
        """The device of the batches."""

    def id_counts(self, sparse: Sequence[Input], bags: Sequence[Input]) -> list[Tensor]:
        """Count how often the rows hold each row of each feature's table."""

    def ordered(self, order: Order, epoch: int, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch in an order, from batch ``first`` on."""


class Resampled:
    """Rows of which each replica has an order of its own, or with ``bootstrap`` a sample of its own: see :class:`Order`."""

    def __init__(self, split: Ordered, seeds: Sequence[int], bootstrap: bool = False):
        self.split, self.seeds, self.bootstrap = split, tuple(seeds), bootstrap

    def __len__(self) -> int:
        return len(self.split)

    @property
    def device(self) -> torch.device:
        return self.split.device

    def resampled(self, seeds: Sequence[int], bootstrap: bool) -> Resampled:
        return Resampled(self.split, seeds, bootstrap)

    def id_counts(self, sparse: Sequence[Input], bags: Sequence[Input]) -> list[Tensor]:
        """A row counts once, whatever the samples."""
        return self.split.id_counts(sparse, bags)

    def batches(self, seed: int, epoch: int, size: int, first: int = 0) -> Iterator[Batch]:
        return self.split.ordered(Order(len(self), seed, self.seeds, self.bootstrap), epoch, size, first)


class Split:
    """Encoded rows held as tensors on a device.

    ``take`` gathers any rows, ``slices`` walks through them in order, ``batches`` gives those of an epoch. With ``groups`` it
    knows each row's group, and a group's rows come one after another, so that a batch holds whole groups but for its ends.
    """

    def __init__(self, rows: Rows, device: torch.device | str = "cpu", groups: bool = False):
        self.rows = len(rows)
        self.device = torch.device(device)
        self.id_NS, self.number_NM = self._tensor(rows.id_BS), self._tensor(rows.number_BM)
        self.label_NT, self.weight_NT = self._tensor(rows.label_BT), self._tensor(rows.weight_BT)
        self.bags = [(self._tensor(value), self._tensor(offset)) for value, offset in rows.bags]
        self.group_N = self._tensor(rows.groups) if groups and rows.groups is not None else None

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def __len__(self) -> int:
        return self.rows

    def batches(self, seed: int, epoch: int, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from batch ``first`` on. The global random state is neither read nor moved."""
        if self.group_N is not None:
            return self.ordered(GroupOrder(self.rows, seed, group_N=self.group_N.cpu()), epoch, size, first)
        return self.ordered(Order(self.rows, seed), epoch, size, first)

    def ordered(self, order: Order, epoch: int, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch in an order, from batch ``first`` on."""
        for pieces in order.batches(epoch, size, first):
            row_B = torch.cat([window.row_numbers[place_B] for window, place_B in pieces])
            yield self.take(row_B.t().to(self.device))

    def resampled(self, seeds: Sequence[int], bootstrap: bool) -> Resampled:
        """Return the rows with an order, or a sample, for each replica."""
        return Resampled(self, seeds, bootstrap)

    def id_counts(self, sparse: Sequence[Input], bags: Sequence[Input]) -> list[Tensor]:
        """Count how often the rows hold each row of each feature's table, int64: the sparse features first, then the bags."""
        found = [torch.bincount(self.id_NS[:, s], minlength=feature.rows) for s, feature in enumerate(sparse)]
        each = zip(self.bags, bags, strict=True)
        return found + [torch.bincount(value_n, minlength=feature.rows) for (value_n, _), feature in each]

    def take(self, row_B: Tensor) -> Batch:
        """The batch of the rows given, in the order given; of rows (R, B), each replica's own."""
        row_N, shape = row_B.flatten(), row_B.shape
        return Batch(
            id_BS=self.id_NS.index_select(0, row_N).unflatten(0, shape),
            number_BM=self.number_NM.index_select(0, row_N).unflatten(0, shape),
            bags=[_take_bag(value, offset, row_N) for value, offset in self.bags],
            label_BT=self.label_NT.index_select(0, row_N).unflatten(0, shape),
            weight_BT=self.weight_NT.index_select(0, row_N).unflatten(0, shape),
            group_B=None if self.group_N is None else self.group_N.index_select(0, row_N).unflatten(0, shape),
        )

    def slices(self, size: int) -> Iterator[Batch]:
        """All rows in their own order, ``size`` at a time."""
        for start in range(0, self.rows, size):
            stop = min(start + size, self.rows)
            bags = [(value[offset[start] : offset[stop]], offset[start : stop + 1] - offset[start]) for value, offset in self.bags]
            part = slice(start, stop)
            yield Batch(self.id_NS[part], self.number_NM[part], bags, self.label_NT[part], self.weight_NT[part])


def _take_bag(value_n: Tensor, offset: Tensor, row_B: Tensor) -> tuple[Tensor, Tensor]:
    start_B = offset[row_B]
    length_B = offset[row_B + 1] - start_B
    taken = torch.cat([length_B.new_zeros(1), length_B.cumsum(0)])
    source = torch.arange(int(taken[-1]), device=value_n.device) + torch.repeat_interleave(start_B - taken[:-1], length_B)
    return value_n[source], taken


def joined(parts: Sequence[Batch]) -> Batch:
    """Put batches one after another. Where replicas have rows of their own, each replica's rows are put so."""
    if len(parts) == 1:
        return parts[0]
    groups = [part.group_B for part in parts if part.group_B is not None]
    return Batch(
        id_BS=torch.cat([part.id_BS for part in parts], dim=-2),
        number_BM=torch.cat([part.number_BM for part in parts], dim=-2),
        bags=[_join_bags([part.bags[b] for part in parts], [len(part) for part in parts]) for b in range(len(parts[0].bags))],
        label_BT=torch.cat([part.label_BT for part in parts], dim=-2),
        weight_BT=torch.cat([part.weight_BT for part in parts], dim=-2),
        group_B=torch.cat(groups, dim=-1) if groups else None,
    )


def _join_bags(bags: Sequence[tuple[Tensor, Tensor]], sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Put bags one after another, replica by replica. ``sizes`` are the rows of a replica in each."""
    length_RB = torch.cat([offset.diff().view(-1, size) for (_, offset), size in zip(bags, sizes, strict=True)], dim=1)
    ends = [(value_n, offset[::size]) for (value_n, offset), size in zip(bags, sizes, strict=True)]
    taken = [value_n[end[r] : end[r + 1]] for r in range(len(length_RB)) for value_n, end in ends]
    return torch.cat(taken), torch.cat([length_RB.new_zeros(1), length_RB.flatten().cumsum(0)])
