"""The sparse columns that a linear model reads, from the encoded rows of a log.

A number unfolds as for the networks: unit j of place u is u - j, held between 0 and 1; another unit says that the number is null.
Every id has a column of its own, and a bag has the share of each id. Bias features are left out.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from manygate.baselines.tree_inputs import plain_ids, plain_numbers
from manygate.data.encoded import EncodedLog
from manygate.data.statistics import Bag, rows_of


def linear_inputs(log: EncodedLog) -> dict[str, sparse.csr_matrix]:
    """Return the columns of each part as a sparse matrix (N, C)."""
    return {
        part: sparse.hstack([*(_number(log, name, by_part[part]) for name, by_part in plain_numbers(log)), *_ids(log, part)], "csr")
        for part in log.parts
    }


def _number(log: EncodedLog, name: str, place_N: np.ndarray) -> sparse.csr_matrix:
    scale = log.encoder.scales[name]
    null_N = np.isnan(place_N)
    place_N = np.where(null_N, 0.0, place_N)
    unit_NU = np.clip(place_N[:, None] - np.arange(scale.units), 0, 1) if scale.unfolds else place_N[:, None]
    return sparse.csr_matrix(np.column_stack([unit_NU * ~null_N[:, None], null_N]))


def _ids(log: EncodedLog, part: str) -> list[sparse.csr_matrix]:
    return [_shares(ids.bags[part], ids.size) for ids in plain_ids(log)]


def _shares(bag: Bag, size: int) -> sparse.csr_matrix:
    """Return the share of each id in each row's bag.

    >>> _shares((np.array([2, 3]), np.array([0, 2, 2])), 4).toarray().tolist()
    [[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]]
    """
    length_N = np.diff(bag[1])
    share_n = 1.0 / np.repeat(length_N, length_N)
    return sparse.csr_matrix((share_n, (rows_of(bag), bag[0])), shape=(len(length_N), size))
