"""Finds the rows whose ids training has not seen.

Shape suffixes: N rows, S sparse features, n ids of a bag.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from manygate.data.log_rows import LogRows
from manygate.data.rows import FIRST_ROW, UNKNOWN_ROW, Input, Rows


def cold_rows(inputs: Sequence[Input], rows: LogRows) -> NDArray[np.bool_]:
    """Return true for each row with an unseen id, (N,).

    A sparse feature has an unseen id if its id is unseen. A bag has one if it holds unseen ids and no known id. Bias features and
    hashed ids do not count.
    """
    return np.concatenate([_cold(inputs, chunk) for chunk in rows.chunks()]) if len(rows) else np.zeros(0, dtype=bool)


def _cold(inputs: Sequence[Input], rows: Rows) -> NDArray[np.bool_]:
    sparse, bags = ([i for i in inputs if i.kind == kind] for kind in ("sparse", "bag"))
    judged = [s for s, feature in enumerate(sparse) if feature.can_be_unseen]
    cold_N: NDArray[np.bool_] = (rows.id_BS[:, judged] == UNKNOWN_ROW).any(axis=1)
    for feature, (id_n, offset) in zip(bags, rows.bags, strict=True):
        if feature.can_be_unseen:
            unseen_N, known_N = (_count(is_so_n, offset) for is_so_n in (id_n == UNKNOWN_ROW, id_n >= FIRST_ROW))
            cold_N |= (unseen_N > 0) & (known_N == 0)
    return cold_N


def _count(is_so_n: NDArray[np.bool_], offset: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the true values of each bag, (N,)."""
    total = np.append(0, np.cumsum(is_so_n))
    counts: NDArray[np.int64] = total[offset[1:]] - total[offset[:-1]]
    return counts
