"""Batches of rows in files: the same as those of rows in memory, with the memory of two windows.

While a window is trained, a thread reads the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from manygate.data.batches import Batch, Resampled, Split, joined
from manygate.data.log_rows import LogRows
from manygate.data.order import WHOLE, Order
from manygate.data.row_files import RowFiles
from manygate.data.rows import Input, Rows
from manygate.errors import InputError, setting

T = TypeVar("T")


def split_of(rows: LogRows, device: torch.device | str = "cpu", groups: bool = False) -> LogSplit:
    """Return the batches of a part of a log.

    With ``groups`` a group's rows come one after another. Rows in files have such an order only if they fit in one window.

    Raises:
        InputError: There are more rows in files than a window holds, and ``groups`` is true.
    """
    files = rows.files
    if files is None:
        return Split(rows.loaded(), device, groups)
    if not groups:
        return FileSplit(files, device)
    if len(files) > WHOLE:
        raise InputError(
            f"a pairwise loss reads whole groups, and the {len(files):,} training rows are in files, which "
            f"are read in another order. Raise {setting('memory')}, give fewer rows, or use another loss."
        )
    return Split(files.loaded(), device, groups)


class FileSplit:
    """Encoded rows in files. It gives the batches of :class:`manygate.data.batches.Split`."""

    def __init__(self, rows: RowFiles, device: torch.device | str = "cpu"):
        self.rows, self.device = rows, torch.device(device)

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, seed: int, epoch: int, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from batch ``first`` on."""
        return self.ordered(Order(len(self), seed), epoch, size, first)

    def ordered(self, order: Order, epoch: int, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch in an order, from batch ``first`` on."""
        batches = order.batches(epoch, size, first)
        head = list(islice(batches, 1))
        needed = (window for window in order.windows(epoch) if head and window.number >= head[0][0][0].number)
        loaded = read_ahead((window.number, Split(self.rows.read(window.blocks), self.device)) for window in needed)
        number, split = next(loaded, (0, None))
        for pieces in chain(head, batches):
            parts = []
            for window, place_B in pieces:
                if window.number != number:
                    number, split = next(loaded)
                assert split is not None, "a batch has rows of a window"
                parts.append(split.take(place_B.t().to(self.device)))
            yield joined(parts)

    def resampled(self, seeds: Sequence[int], bootstrap: bool) -> Resampled:
        """Return the rows with an order, or a sample, for each replica."""
        return Resampled(self, seeds, bootstrap)

    def id_counts(self, sparse: Sequence[Input], bags: Sequence[Input]) -> list[Tensor]:
        """Count how often the rows hold each row of each feature's table, int64: the sparse features first, then the bags."""
        found = [np.zeros(feature.rows, dtype=np.int64) for feature in [*sparse, *bags]]
        for chunk in read_ahead(self.rows.chunks()):
            for count_V, id_n in zip(found, [*chunk.id_BS.T, *(value_n for value_n, _ in chunk.bags)], strict=True):
                count_V += np.bincount(id_n, minlength=len(count_V))
        return [torch.from_numpy(count_V).to(self.device) for count_V in found]

    def slices(self, size: int) -> Iterator[Batch]:
        """Yield all rows in their own order, ``size`` at a time."""
        rest: list[Rows] = []
        for chunk in read_ahead(self.rows.chunks()):
            held = Rows.concat([*rest, chunk]) if rest else chunk
            whole = len(held) // size * size
            yield from Split(held.part(0, whole), self.device).slices(size)
            rest = [held.part(whole, len(held))] if whole < len(held) else []
        for rows in rest:
            yield from Split(rows, self.device).slices(size)


LogSplit: TypeAlias = Split | FileSplit
"""The batches of a part of a log, in memory or in files."""


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, and make the next one in a thread meanwhile.

    >>> list(read_ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, items, None)
            yield item
