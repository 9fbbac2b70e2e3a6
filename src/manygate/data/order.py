"""The order of an epoch's rows: the same in memory and out of core.

A log of at most 1,048,576 training rows is permuted as a whole. A longer log is cut into fixed blocks of 65,536 rows. Each epoch
shuffles the blocks, takes 16 of them at a time as a window, and permutes the rows of each window. So a training run needs the rows
of one window at once, and the next one to read ahead.

The seed, the epoch and the number of rows alone decide the order. So the position of a run is one number, and a run that was
stopped goes on with the next batch.

Shape suffixes: W rows of a window, R replicas, B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from manygate.data.rows import BLOCK_ROWS
from manygate.randomness import ORDER, SAMPLE, WINDOW, stream_seed

WINDOW_BLOCKS = 16
WHOLE = BLOCK_ROWS * WINDOW_BLOCKS
"""The most rows that are permuted as a whole."""


@dataclass(frozen=True)
class Window:
    """Rows that are permuted together: some blocks of a log of ``rows`` rows, one after another.

    >>> Window(0, (1, 0), 65_540).row_numbers[[0, 3, 4, 65_539]].tolist()
    [65536, 65539, 0, 65535]
    """

    number: int
    """The place of the window in its epoch."""
    blocks: tuple[int, ...]
    rows: int
    """The rows of the whole log."""

    def __len__(self) -> int:
        return sum(self.lengths)

    @property
    def lengths(self) -> list[int]:
        """The rows of each block."""
        return [min(BLOCK_ROWS, self.rows - block * BLOCK_ROWS) for block in self.blocks]

    @cached_property
    def row_numbers(self) -> Tensor:
        """The number of each row of the window in the log."""
        starts = zip(self.blocks, self.lengths, strict=True)
        return torch.cat([torch.arange(block * BLOCK_ROWS, block * BLOCK_ROWS + length) for block, length in starts])


@dataclass(frozen=True)
class Order:
    """The order of the rows of each epoch.

    With ``replicas``, their seeds, every replica has an order of its own in each window. With ``bootstrap`` it has a sample of its
    own besides, drawn with replacement (Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 1979).
    The sample is the same in each epoch. In a log of several windows it is drawn in each block alone. A replica's rows depend on
    its own seed and not on the other replicas.

    >>> [piece.tolist() for [(_, piece)] in Order(5, seed=0).batches(epoch=0, size=2)]
    [[3, 4], [1, 2], [0]]
    """

    rows: int
    seed: int
    replicas: tuple[int, ...] = ()
    bootstrap: bool = False

    def windows(self, epoch: int) -> Iterator[Window]:
        """Yield the windows of an epoch."""
        blocks = range(-(-self.rows // BLOCK_ROWS))
        if self._whole:
            yield Window(0, tuple(blocks), self.rows)
            return
        shuffled = self._permutation(len(blocks), ORDER, self.seed, epoch).tolist()
        for number, first in enumerate(range(0, len(blocks), WINDOW_BLOCKS)):
            yield Window(number, tuple(shuffled[first : first + WINDOW_BLOCKS]), self.rows)

    def within(self, window: Window, epoch: int) -> Tensor:
        """Return the order of a window's rows as places in the window, (W,), or (W, R) if each replica has its own."""
        if not self.replicas:
            return self._permutation(len(window), *self._key(window, epoch))
        return torch.stack([self._of_replica(window, epoch, seed) for seed in self.replicas], dim=1)

    def batches(self, epoch: int, size: int, first: int = 0) -> Iterator[list[tuple[Window, Tensor]]]:
        """Yield the batches of an epoch from batch ``first`` on, each as its pieces: a window, and places in it.

        A batch that crosses the end of a window has several pieces.
        """
        skipped, pieces, missing = first * size, [], size
        for window in self.windows(epoch):
            if skipped >= len(window):
                skipped -= len(window)
                continue
            order_W, start, skipped = self.within(window, epoch), skipped, 0
            while start < len(order_W):
                piece_B = order_W[start : start + missing]
                pieces.append((window, piece_B))
                start, missing = start + len(piece_B), missing - len(piece_B)
                if not missing:
                    yield pieces
                    pieces, missing = [], size
        if pieces:
            yield pieces

    def rows_of(self, epoch: int) -> Tensor:
        """Return the numbers of all rows in an epoch's order, (N,) or (N, R)."""
        if not self.rows:
            return torch.zeros(0, dtype=torch.long)
        return torch.cat([window.row_numbers[self.within(window, epoch)] for window in self.windows(epoch)])

    @property
    def _whole(self) -> bool:
        return self.rows <= WHOLE

    def _key(self, window: Window, epoch: int, *replica: int) -> tuple[int, ...]:
        return (ORDER, self.seed, epoch, *replica) if self._whole else (WINDOW, self.seed, epoch, window.number, *replica)

    def _of_replica(self, window: Window, epoch: int, replica: int) -> Tensor:
        order_W = self._permutation(len(window), *self._key(window, epoch, replica))
        return self._sample(window, replica)[order_W] if self.bootstrap else order_W

    def _sample(self, window: Window, replica: int) -> Tensor:
        """Draw a replica's sample of a window's rows, as places in the window."""
        if self._whole:
            return self._draw(len(window), SAMPLE, self.seed, replica)
        starts = np.cumsum([0, *window.lengths]).tolist()
        blocks = zip(starts, window.blocks, window.lengths, strict=False)
        return torch.cat([start + self._draw(length, SAMPLE, self.seed, replica, 1 + block) for start, block, length in blocks])

    @staticmethod
    def _permutation(count: int, *key: int) -> Tensor:
        return torch.randperm(count, generator=torch.Generator().manual_seed(stream_seed(*key)))

    @staticmethod
    def _draw(count: int, *key: int) -> Tensor:
        return torch.randint(count, (count,), generator=torch.Generator().manual_seed(stream_seed(*key)))


@dataclass(frozen=True)
class GroupOrder(Order):
    """An order in which the rows of a group follow one another, so that a batch holds whole groups but for its ends.

    The log is permuted as a whole, whatever its length.
    """

    group_N: Sequence[int] | Tensor = ()

    @property
    def _whole(self) -> bool:
        return True

    def within(self, window: Window, epoch: int) -> Tensor:
        group_N = torch.as_tensor(self.group_N)
        generator = torch.Generator().manual_seed(stream_seed(*self._key(window, epoch)))
        row_N = torch.randperm(self.rows, generator=generator)
        place_G = torch.randperm(int(group_N.max()) + 1, generator=generator)
        return row_N[torch.argsort(place_G[group_N[row_N]], stable=True)]
