"""Encoded rows of every kind of array, in memory and in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from manygate.data.row_files import RowFiles, RowFilesWriter
from manygate.data.rows import Rows


def made_up(count: int) -> Rows:
    random = np.random.default_rng(count)
    offset = np.append(0, np.cumsum(random.integers(0, 4, count))).astype(np.int64)
    return Rows(
        id_BS=random.integers(0, 5, (count, 2)).astype(np.int32),
        number_BM=np.arange(count * 2, dtype=np.float32).reshape(count, 2),
        bags=[(random.integers(0, 9, offset[-1]).astype(np.int32), offset)],
        label_BT=random.integers(0, 2, (count, 2)).astype(np.float32),
        weight_BT=random.random((count, 2)).astype(np.float32),
        group_B=random.integers(0, 30, count).astype(np.uint64),
    )


def in_files(rows: Rows, folder: Path) -> RowFiles:
    writer = RowFilesWriter(folder)
    for start in range(0, len(rows), 33):
        writer.add(rows.part(start, start + 33))
    return writer.rows()


def arrays(rows: Rows) -> list[np.ndarray]:
    every = [rows.id_BS, rows.number_BM, rows.label_BT, rows.weight_BT, *(array for bag in rows.bags for array in bag)]
    return every if rows.group_B is None else [*every, rows.group_B]


def equal(first: Rows, second: Rows) -> bool:
    pairs = zip(arrays(first), arrays(second), strict=True)
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs)
