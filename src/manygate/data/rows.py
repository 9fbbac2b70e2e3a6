"""Encoded rows, a model's inputs, and vocabularies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manygate.data.hashing import stable_hash

NULL_ROW, UNKNOWN_ROW, FIRST_ROW = 0, 1, 2


@dataclass
class Rows:
    """Encoded rows, as plain arrays.

    ``id_BS`` int32 rows of the embedding tables; ``number_BM`` float32 places on the scales, NaN for null; ``bags`` one pair
    (ids, offsets of B + 1) per bag feature; ``label_BT`` and ``weight_BT`` float32, weight 0 where the label is masked;
    ``group_B`` uint64 or None.
    """

    id_BS: np.ndarray
    number_BM: np.ndarray
    bags: list[tuple[np.ndarray, np.ndarray]]
    label_BT: np.ndarray
    weight_BT: np.ndarray
    group_B: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.id_BS)

    @classmethod
    def concat(cls, parts: Sequence[Rows]) -> Rows:
        """Put batches one after another."""
        first = parts[0]
        bags = []
        for b in range(len(first.bags)):
            starts = np.cumsum([0] + [part.bags[b][1][-1] for part in parts[:-1]])
            offsets = [part.bags[b][1][:-1] + start for part, start in zip(parts, starts, strict=True)]
            total = starts[-1] + parts[-1].bags[b][1][-1]
            bags.append((np.concatenate([part.bags[b][0] for part in parts]), np.append(np.concatenate(offsets), total)))
        return cls(
            id_BS=np.concatenate([part.id_BS for part in parts]),
            number_BM=np.concatenate([part.number_BM for part in parts]),
            bags=bags,
            label_BT=np.concatenate([part.label_BT for part in parts]),
            weight_BT=np.concatenate([part.weight_BT for part in parts]),
            group_B=None if first.group_B is None else np.concatenate([part.group_B for part in parts]),
        )

    def where(self, keep_B: np.ndarray) -> Rows:
        """The rows for which ``keep_B`` is true."""
        bags = []
        for value_n, offset in self.bags:
            length_B = np.diff(offset)
            kept = np.append(0, np.cumsum(length_B[keep_B]))
            bags.append((value_n[np.repeat(keep_B, length_B)], kept))
        group_B = None if self.group_B is None else self.group_B[keep_B]
        return Rows(self.id_BS[keep_B], self.number_BM[keep_B], bags, self.label_BT[keep_B], self.weight_BT[keep_B], group_B)


@dataclass(frozen=True)
class Input:
    """One feature as the model reads it: the size of its table, or the number of columns that its scale unfolds to."""

    name: str
    kind: str
    bias: bool
    rows: int = 0
    dim: int = 0
    pooling: str = "mean"
    units: int = 0
    unfold: bool = False
    flag: bool = False


@dataclass
class Vocabulary:
    """The known ids of one sparse or bag feature.

    >>> vocabulary = Vocabulary(pa.array(["a", "b"]))
    >>> vocabulary.rows_of(pa.array(["b", "zebra", None])).tolist()
    [3, 1, 0]
    """

    values: pa.Array
    buckets: int = 0

    @property
    def rows(self) -> int:
        """Rows of the embedding table, the null and the out-of-vocabulary row included."""
        return FIRST_ROW + (self.buckets or len(self.values))

    def rows_of(self, ids: pa.Array) -> np.ndarray:
        """Ids to rows, int32."""
        if self.buckets:
            row_N = (FIRST_ROW + stable_hash(ids) % np.uint64(self.buckets)).astype(np.int32)
        else:
            index_N = pc.index_in(ids, value_set=self.values)
            row_N = pc.fill_null(pc.add(index_N, FIRST_ROW), UNKNOWN_ROW).to_numpy(zero_copy_only=False).astype(np.int32)
        if ids.null_count:
            row_N[pc.is_null(ids).to_numpy(zero_copy_only=False)] = NULL_ROW
        return row_N
