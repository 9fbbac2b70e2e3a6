"""Encoded rows, a model's inputs, and vocabularies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manygate.data.hashing import BUCKET_HASHES, BucketHash

BLOCK_ROWS = 65_536
"""The rows of a block: what is read from a file at once, and what is shuffled as a whole in a long log."""
NULL_ROW, UNKNOWN_ROW, FIRST_ROW = 0, 1, 2
NO_GROUP = np.uint64(2**64 - 1)
"""What stands in ``Rows.group_B`` for a row whose group is null or NaN."""


@dataclass
class Rows:
    """Encoded rows, as plain arrays.

    ``id_BS`` int32 rows of the embedding tables, those of numbers whose values are ids last; ``number_BM`` float32 places on the
    scales, NaN for null, then target statistics; ``bags`` one pair (ids, offsets of B + 1) per bag feature; ``label_BT`` and
    ``weight_BT`` float32, weight 0 where the label is masked; ``group_B`` uint64 or None; :data:`NO_GROUP` where a row has no
    group.
    """

    id_BS: np.ndarray
    number_BM: np.ndarray
    bags: list[tuple[np.ndarray, np.ndarray]]
    label_BT: np.ndarray
    weight_BT: np.ndarray
    group_B: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.id_BS)

    @cached_property
    def groups(self) -> np.ndarray | None:
        """Groups as 0, 1, 2, ...; a row without a group is one of its own, after all others. None where the log has no groups.

        So such a row has no part in GAUC, which needs groups of both classes, and depends on no other row in an interval.

        >>> empty = np.zeros((4, 0))
        >>> Rows(empty, empty, [], empty, empty, np.array([7, NO_GROUP, 7, NO_GROUP], np.uint64)).groups.tolist()
        [0, 1, 0, 2]
        """
        return None if self.group_B is None else group_numbers(self.group_B)

    @property
    def groupless(self) -> int:
        """The number of rows without a group, 0 where the log has no groups."""
        return 0 if self.group_B is None else int(np.count_nonzero(self.group_B == NO_GROUP))

    @property
    def files(self) -> None:
        """These rows are in memory."""
        return

    @property
    def nbytes(self) -> int:
        """The memory of all arrays."""
        arrays = [self.id_BS, self.number_BM, self.label_BT, self.weight_BT, *(array for bag in self.bags for array in bag)]
        return sum(array.nbytes for array in arrays) + (0 if self.group_B is None else self.group_B.nbytes)

    @classmethod
    def concat(cls, parts: Sequence[Rows]) -> Rows:
        """Put batches one after another."""
        builder = RowsBuilder()
        for part in parts:
            builder.add(part)
        return builder.rows()

    def without_inputs(self) -> Rows:
        """The labels, weights and groups alone: rows of no feature."""
        none = np.zeros((len(self), 0))
        return Rows(none.astype(np.int32), none.astype(np.float32), [], self.label_BT, self.weight_BT, self.group_B)

    def loaded(self) -> Rows:
        """Return the rows themselves: they are in memory."""
        return self

    def part(self, start: int, stop: int) -> Rows:
        """Return some rows that follow one another. Their arrays are views.

        >>> empty = np.zeros((3, 0))
        >>> Rows(empty, empty, [], np.arange(3).reshape(3, 1), empty).part(1, 3).label_BT.tolist()
        [[1], [2]]
        """
        stop = min(stop, len(self))
        bags = [(value_n[offset[start] : offset[stop]], offset[start : stop + 1] - offset[start]) for value_n, offset in self.bags]
        arrays = (self.id_BS, self.number_BM, self.label_BT, self.weight_BT)
        id_BS, number_BM, label_BT, weight_BT = (array[start:stop] for array in arrays)
        return Rows(id_BS, number_BM, bags, label_BT, weight_BT, None if self.group_B is None else self.group_B[start:stop])

    def chunks(self) -> Iterator[Rows]:
        """Yield all rows in order, at most a block at a time."""
        yield from (self.part(start, start + BLOCK_ROWS) for start in range(0, len(self), BLOCK_ROWS))

    def label_chunks(self) -> Iterator[Rows]:
        """Yield the labels, weights and groups of all rows in order: rows of no feature."""
        yield from self.without_inputs().chunks()

    def changed(self, change: Callable[[int, Rows], Rows]) -> Rows:
        """Return other rows, made block by block. ``change`` gets the number of the block's first row, and its rows."""
        starts = range(0, len(self), BLOCK_ROWS)
        return Rows.concat([change(start, chunk) for start, chunk in zip(starts, self.chunks(), strict=True)])

    def where(self, keep_B: np.ndarray) -> Rows:
        """The rows for which ``keep_B`` is true."""
        bags = []
        for value_n, offset in self.bags:
            length_B = np.diff(offset)
            kept = np.append(0, np.cumsum(length_B[keep_B]))
            bags.append((value_n[np.repeat(keep_B, length_B)], kept))
        group_B = None if self.group_B is None else self.group_B[keep_B]
        return Rows(self.id_BS[keep_B], self.number_BM[keep_B], bags, self.label_BT[keep_B], self.weight_BT[keep_B], group_B)


class RowsBuilder:
    """Puts batches one after another. The arrays of the batches are freed one kind after another while they are joined."""

    def __init__(self) -> None:
        self._arrays: dict[str, list[np.ndarray]] = {}
        self._bags: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
        self.count = 0

    def add(self, rows: Rows) -> None:
        self.count += len(rows)
        for name in ("id_BS", "number_BM", "label_BT", "weight_BT", "group_B"):
            array = getattr(rows, name)
            if array is not None:
                self._arrays.setdefault(name, []).append(array)
        self._bags = self._bags or [([], []) for _ in rows.bags]
        for (values, lengths), (value_n, offset) in zip(self._bags, rows.bags, strict=True):
            values.append(value_n)
            lengths.append(np.diff(offset))

    def rows(self) -> Rows:
        """The rows of all batches. The builder is empty afterwards. There must be a batch."""
        bags = []
        while self._bags:
            values, lengths = self._bags.pop(0)
            bags.append((np.concatenate(values), np.append(0, np.cumsum(np.concatenate(lengths))).astype(np.int64)))
        joined = {name: np.concatenate(self._arrays.pop(name)) for name in list(self._arrays)}
        return Rows(bags=bags, **joined)


def group_numbers(group_N: np.ndarray) -> np.ndarray:
    """Number groups 0, 1, 2, ..., (N,) int64: see :attr:`Rows.groups`."""
    without_N = group_N == NO_GROUP
    number_N = np.zeros(len(group_N), dtype=np.int64)
    known, number_N[~without_N] = np.unique(group_N[~without_N], return_inverse=True)
    number_N[without_N] = len(known) + np.arange(int(without_N.sum()))
    return number_N


@dataclass(frozen=True)
class Input:
    """One feature as the model reads it: the size of its table, or the number of columns that its scale unfolds to.

    A number whose values are also ids is two inputs: ``dense``, and ``sparse`` with ``of_number``. Both have its name. A target
    statistic is a ``dense`` input with a name of its own and the feature that it is computed from as its ``source``.
    """

    name: str
    kind: str
    bias: bool
    rows: int = 0
    dim: int = 0
    pooling: str = "mean"
    units: int = 0
    unfold: bool = False
    flag: bool = False
    can_be_unseen: bool = False
    """True for ids with a row for unseen ids that prediction can meet: not for dense numbers, hashed ids and bias features."""
    id_dropout: float | None = None
    of_number: bool = False
    """True for the values of a number as ids. They are no ids of the log: none is unseen, and no row is cold because of them."""
    source: str | None = None
    """The feature whose ids a target statistic is of."""
    unseen: float = 0.0
    """The target statistic of an unseen id. It replaces that of an id that id dropout replaces."""

    @property
    def feature(self) -> str:
        """The name of the feature in the schema."""
        return self.source or self.name

    @property
    def drops_ids(self) -> bool:
        """True if id dropout replaces ids of this input. It also trains the row of a number's other values."""
        return self.can_be_unseen or self.of_number


FARTHEST = 4
"""Ids that are whole numbers are looked up in an array if it has at most so many entries for each id, and some more."""


@dataclass
class Vocabulary:
    """The known ids of one sparse or bag feature.

    >>> vocabulary = Vocabulary(pa.array(["a", "b"]))
    >>> vocabulary.rows_of(pa.array(["b", "zebra", None])).tolist()
    [3, 1, 0]
    """

    values: pa.Array
    buckets: int = 0
    """The rows that ids are hashed to; 0 where each id of ``values`` has a row of its own."""
    hash: BucketHash = "murmur3"
    """The hash of the buckets. Bundles of earlier versions have ``blake2b``."""

    @property
    def rows(self) -> int:
        """Rows of the embedding table, the null and the out-of-vocabulary row included."""
        return FIRST_ROW + (self.buckets or len(self.values))

    def unlike_numbers(self) -> str | None:
        """The reason that numbers cannot stand for ids that were text in training, or None where they can.

        >>> Vocabulary(pa.array(["7", "007"])).unlike_numbers()
        "'007' was an id in training, and no number is written so"
        >>> Vocabulary(pa.array(["7", "u7"])).unlike_numbers() is None
        True
        """
        if not (pa.types.is_string(self.values.type) and len(self.values)):
            return None
        padded = self.values.filter(
            pc.match_substring_regex(self.values, r"\A([+-]?0[0-9]+(\.[0-9]*)?|\+[0-9.]+|-?[0-9]+\.[0-9]*0)\z")
        )
        if len(padded):
            return f"{padded[0].as_py()[:40]!r} was an id in training, and no number is written so"
        if not pc.any(pc.match_substring_regex(self.values, r"\A-?[0-9]+(\.[0-9]+)?\z")).as_py():
            return f"no id of training is a number ({self.values[0].as_py()[:40]!r}, for instance)"
        return None

    def rows_of(self, ids: pa.Array) -> np.ndarray:
        """Ids to rows, int32."""
        if self.buckets:
            row_N = (FIRST_ROW + BUCKET_HASHES[self.hash](ids) % self.buckets).astype(np.int32)
        elif self._places is not None and ids.type == pa.int64():
            row_N = self._rows_of_numbers(pc.fill_null(ids, 0).to_numpy(zero_copy_only=False), *self._places)
        else:
            index_N = pc.index_in(ids, value_set=self.values)
            row_N = pc.fill_null(pc.add(index_N, FIRST_ROW), UNKNOWN_ROW).to_numpy(zero_copy_only=False).astype(np.int32)
        if ids.null_count:
            row_N[pc.is_null(ids).to_numpy(zero_copy_only=False)] = NULL_ROW
        return row_N

    @cached_property
    def _places(self) -> tuple[int, np.ndarray] | None:
        """The smallest id, and the row of each whole number from it to the largest id; None if the ids are too far apart.

        One more entry, the last, is for all other numbers. A look-up here takes a fraction of the time of a hash table.
        """
        if self.values.type != pa.int64() or not len(self.values):
            return None
        value_V = self.values.to_numpy()
        smallest, span = int(value_V.min()), int(value_V.max()) - int(value_V.min()) + 1
        if span > FARTHEST * len(value_V) + BLOCK_ROWS:
            return None
        row_n = np.full(span + 1, UNKNOWN_ROW, dtype=np.int32)
        row_n[value_V - smallest] = np.arange(FIRST_ROW, FIRST_ROW + len(value_V))
        return smallest, row_n

    @staticmethod
    def _rows_of_numbers(value_N: np.ndarray, smallest: int, row_n: np.ndarray) -> np.ndarray:
        last = len(row_n) - 1
        place_N = value_N.view(np.uint64) - np.array(smallest).astype(np.uint64)  # a number below the smallest wraps to a large one
        return row_n[np.minimum(place_N, np.uint64(last)).astype(np.int64)]
