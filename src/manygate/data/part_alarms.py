"""Warnings about how a log is divided: shares far from those asked for, copies of training rows in other parts, uneven weights.

Shape suffixes: N rows of a part, K rows that were sampled, S sparse features, M dense features, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from manygate.data.alarms import PART_WORDS
from manygate.data.log_rows import LogRows
from manygate.data.rows import Rows
from manygate.results.evaluation import DataWarning
from manygate.schema import Schema
from manygate.text import count_of, share

SAMPLED = 200_000
"""About as many rows are compared. They are chosen by a hash of the row, so that all copies of a row are chosen or none."""
SAMPLED_FOR_ORDER = 10_000
MOST = 0.5
"""From this share of copies on, validation rows say nothing of new rows."""
FEWEST_ROWS = 20
"""Fewer copies, or weighted rows, prove nothing."""
MORE_COPIES = 0.05
"""Copies of training rows beyond what the training rows repeat among themselves, as a share of the rows of a part."""
DEVIATIONS = 4
"""The standard deviations of chance that the share of copies must exceed, too."""
REPEATED, COMBINATIONS = 0.95, 100
"""A log is repeated as a whole if so many of its different rows occur more than once, though its columns allow so many times more
rows than there are."""
FEWEST_EFFECTIVE = 0.02
"""The least effective share of rows under uneven weights."""
Column = Callable[[np.ndarray | None], np.ndarray]
_ODD = np.uint64(0x9E3779B97F4A7C15)


def part_alarms(schema: Schema, parts: Mapping[str, LogRows], wanted: Mapping[str, float], column: str | None) -> list[DataWarning]:
    """What the parts of an encoded log say about each other.

    ``parts`` has training and test rows, and validation rows if there are some. ``wanted`` has the shares that a split was asked
    for, and is empty if no part was split. ``column`` is that of the split.
    """
    warnings = [*_shares({part: len(rows) for part, rows in parts.items()}, wanted, column), *_copies(schema, parts)]
    return warnings + [warning for part, rows in parts.items() for warning in _weights(schema, part, rows)]


def _shares(rows: Mapping[str, int], wanted: Mapping[str, float], column: str | None) -> Iterator[DataWarning]:
    """A split by time or by group keeps instants and groups whole, so that one of them can be most of the log."""
    total = sum(rows[part] for part in wanted)
    off = [
        part
        for part, given in wanted.items()
        if abs(rows[part] / total - given) > 0.05 and not given / 2 < rows[part] / total < 2 * given
    ]
    if off and column is not None:
        found = ", ".join(f"{part} {share(rows[part] / total)} ({share(given)})" for part, given in wanted.items())
        yield DataWarning(
            level="serious" if "train" in off else "warning",
            column=column,
            text=f"the split by column {column!r} gives other shares than asked for: {found}. Few of its values have most of the "
            "rows, and rows of one value stay together. Split by another column, or give the parts as files.",
        )


def _copies(schema: Schema, parts: Mapping[str, LogRows]) -> Iterator[DataWarning]:
    """Rows of another part that are exact copies of training rows, and test rows that are copies of validation rows.

    The model has seen the first with their labels; by the second its epoch was chosen. Some logs repeat rows by nature, as few
    values make few different rows. Then the rows of a part repeat among themselves as often as they occur in another part. Copies
    count only beyond that.
    """
    hasher = RowHasher(schema, parts["train"])
    hash_K = {part: hasher(rows) for part, rows in parts.items()}
    value_U, count_U = np.unique(hash_K["train"], return_counts=True)
    if not len(value_U):
        return
    among = _repeated(count_U)
    copied = {part: _share_in(hash_K[part], value_U) for part in parts if part != "train"}
    for part, found in copied.items():
        if _beyond_chance(found, among, len(hash_K[part])):
            yield DataWarning(
                level="serious" if part == "test" or found >= MOST else "warning",
                text=f"{share(found)} of the {PART_WORDS[part]} rows are exact copies of training rows, with their labels. "
                f"Training rows repeat among themselves in {share(among)}. So the metrics on {part} are too good. Leave rows that "
                f"train the model out of {part}.",
            )
    value_V, count_V = np.unique(hash_K.get("valid", np.zeros(0, np.uint64)), return_counts=True)
    found, among = _share_in(hash_K["test"], value_V), _repeated(count_V)
    if _beyond_chance(found, among, len(hash_K["test"])):
        yield DataWarning(
            level="serious",
            text=f"{share(found)} of the test rows are exact copies of validation rows, with their labels. Validation rows repeat "
            f"among themselves in {share(among)}. Validation chooses the epoch and the architecture, so the metrics on test are "
            "too good. Give test rows of its own.",
        )
    count_W = np.unique(np.concatenate(list(hash_K.values())), return_counts=True)[1]
    repeated = float((count_W > 1).mean())
    if (
        repeated > REPEATED
        and len(count_W) >= FEWEST_ROWS
        and _many_combinations(schema, parts["train"], len(count_W) / hasher.kept)
    ):
        yield DataWarning(
            level="serious",
            text=f"{share(repeated)} of the different rows occur more than once, and {share(copied['test'])} of the test rows are "
            "copies of training rows: the log seems to hold every row several times. Remove the copies before the split.",
        )


def _repeated(count_U: np.ndarray) -> float:
    """Return the share of rows that occur more than once, from the counts of the different rows."""
    return float(count_U[count_U > 1].sum() / count_U.sum()) if len(count_U) else 0.0


def _beyond_chance(found: float, among: float, rows: int) -> bool:
    """Return whether so many of a part's rows are copies that rows which repeat by nature do not explain it."""
    chance = DEVIATIONS * float(np.sqrt(among * (1 - among) / max(rows, 1)))
    return found - among > MORE_COPIES + chance and found * rows >= FEWEST_ROWS


class RowHasher:
    """Hashes inputs and labels of rows. Bias features are left out: other parts lack them.

    Of a large log a sample is hashed: rows whose two most varied columns have a small hash, the same ones in every part.
    """

    def __init__(self, schema: Schema, train: LogRows):
        self.schema = schema
        self.kept = 1.0 if len(train) <= SAMPLED else SAMPLED / len(train)
        varied = [len(np.unique(column(None))) for column in self._columns(train.part(0, SAMPLED_FOR_ORDER))]
        self.order = sorted(range(len(varied)), key=lambda c: -varied[c])

    def __call__(self, rows: LogRows) -> np.ndarray:
        """The hashes of the sampled rows, (K,) uint64."""
        return np.concatenate([self._hashes(chunk) for chunk in rows.chunks()])

    def _hashes(self, rows: Rows) -> np.ndarray:
        columns, sampled = self._columns(rows), np.ones(len(rows), dtype=bool)
        chosen = [columns[c] for c in self.order]
        hash_N = _mixed(np.zeros(len(rows), dtype=np.uint64), [column(None) for column in chosen[:2]])
        if self.kept < 1:
            sampled = hash_N < np.uint64(self.kept * 2**64)
        return _mixed(hash_N[sampled], [column(sampled) for column in chosen[2:]])

    def _columns(self, rows: Rows) -> list[Column]:
        """A function for each column that gives its values in some rows, or in all."""
        by_kind = {
            kind: [feature for feature in self.schema.features if feature.kind == kind] for kind in ("sparse", "dense", "bag")
        }
        columns = [partial(_values, rows.id_BS[:, s]) for s, feature in enumerate(by_kind["sparse"]) if not feature.bias]
        columns += [partial(_bits, rows.number_BM[:, m]) for m, feature in enumerate(by_kind["dense"]) if not feature.bias]
        columns += [partial(_bag_hashes, *bag) for feature, bag in zip(by_kind["bag"], rows.bags, strict=True) if not feature.bias]
        columns += [partial(_bits, rows.label_BT[:, t]) for t in range(rows.label_BT.shape[1])]
        return columns + [partial(_known, rows.weight_BT[:, t]) for t in range(rows.weight_BT.shape[1])]


def _values(value_N: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    return value_N if rows is None else value_N[rows]


def _known(weight_N: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    return _values(weight_N, rows) > 0


def _bits(number_N: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    return np.ascontiguousarray(_values(number_N, rows), dtype=np.float32).view(np.uint32)


def _mixed(hash_K: np.ndarray, columns: Sequence[np.ndarray]) -> np.ndarray:
    """Mix further columns into hashes by multiplication and shift."""
    for column in columns:
        hash_K = (hash_K ^ column.astype(np.uint64)) * _ODD
        hash_K ^= hash_K >> np.uint64(32)
        hash_K *= _ODD
    return hash_K


def _bag_hashes(id_n: np.ndarray, offset: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """The sum of the hashes of a bag's ids, whatever their order."""
    length_N = np.diff(offset)
    if rows is not None:
        id_n, length_N = id_n[np.repeat(rows, length_N)], length_N[rows]
    sum_n = np.append(np.uint64(0), np.cumsum(_mixed(np.zeros(len(id_n), np.uint64), [id_n])))
    bound = np.append(0, np.cumsum(length_N))
    sums: np.ndarray = sum_n[bound[1:]] - sum_n[bound[:-1]]
    return sums


def _share_in(hash_K: np.ndarray, value_U: np.ndarray) -> float:
    """The share of hashes that are among sorted values."""
    if not len(hash_K) or not len(value_U):
        return 0.0
    place_K = np.minimum(np.searchsorted(value_U, hash_K), len(value_U) - 1)
    return float((value_U[place_K] == hash_K).mean())


def _many_combinations(schema: Schema, train: LogRows, different: float) -> bool:
    """True if the values of the features could be combined to far more different rows than there are."""
    sparse, dense = (sum(feature.kind == kind for feature in schema.features) for kind in ("sparse", "dense"))
    rows = train.part(0, SAMPLED)
    columns = [*rows.id_BS[:, :sparse].T, *rows.number_BM[:, :dense].T]  # without what is computed from them
    return sum(float(np.log(len(np.unique(column)))) for column in columns) > np.log(COMBINATIONS * different)


def _weights(schema: Schema, part: str, rows: LogRows) -> Iterator[DataWarning]:
    """A few rows with nearly all the weight are the whole result (Kish's effective sample size)."""
    if schema.weight is None:
        return
    count, total, squares = 0, 0.0, 0.0
    for chunk in rows.label_chunks():
        weight_N = chunk.weight_BT.max(axis=1).astype(np.float64)
        count, total, squares = count + int(np.count_nonzero(weight_N > 0)), total + weight_N.sum(), squares + (weight_N**2).sum()
    if count < FEWEST_ROWS:
        return
    effective = float(total**2 / squares)
    if effective < FEWEST_EFFECTIVE * count:
        yield DataWarning(
            level="serious",
            column=schema.weight,
            text=f"weight column {schema.weight!r}: a few rows have nearly all the weight, so {count_of(count, 'row')} "
            f"of {part} count as {effective:.1f}. Check what wrote the weights.",
        )
