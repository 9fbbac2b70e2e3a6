"""Whole batches, never rows: encoded rows as tensors, gathered in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from manygate.data.encode import Rows
from manygate.noise import ORDER, stream_seed


@dataclass
class Batch:
    """One batch on one device. Shapes as in :class:`manygate.data.encode.Rows`; bags are (ids, offsets) of B + 1."""

    id_BS: Tensor
    number_BM: Tensor
    bags: list[tuple[Tensor, Tensor]]
    label_BT: Tensor
    weight_BT: Tensor

    def __len__(self) -> int:
        return len(self.id_BS)


class Split:
    """Encoded rows held as tensors on a device.

    ``take`` gathers any rows, ``slices`` walks through them in order, ``order`` gives an epoch's permutation.
    """

    def __init__(self, rows: Rows, device: torch.device | str = "cpu"):
        self.rows = len(rows)
        self.device = torch.device(device)
        self.id_NS, self.number_NM = self._tensor(rows.id_BS), self._tensor(rows.number_BM)
        self.label_NT, self.weight_NT = self._tensor(rows.label_BT), self._tensor(rows.weight_BT)
        self.bags = [(self._tensor(value), self._tensor(offset)) for value, offset in rows.bags]

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def __len__(self) -> int:
        return self.rows

    def order(self, seed: int, epoch: int) -> Tensor:
        """The rows in an epoch's order, int64; the global random state is neither read nor moved."""
        generator = torch.Generator().manual_seed(stream_seed(ORDER, seed, epoch))
        return torch.randperm(self.rows, generator=generator).to(self.device)

    def take(self, row_B: Tensor) -> Batch:
        """The batch of the rows given, in the order given."""
        return Batch(
            id_BS=self.id_NS.index_select(0, row_B),
            number_BM=self.number_NM.index_select(0, row_B),
            bags=[_take_bag(value, offset, row_B) for value, offset in self.bags],
            label_BT=self.label_NT.index_select(0, row_B),
            weight_BT=self.weight_NT.index_select(0, row_B),
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
