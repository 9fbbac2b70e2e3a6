"""A log in one piece -> train, valid, test: at random, by time or by group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.data.hashing import keyed_hash
from manygate.data.table import Table
from manygate.errors import InputError, raise_all, setting
from manygate.schema import Schema

PARTS = ("train", "valid", "test")
SplitKind = Literal["random", "time", "group"]


@final
class Splitter:
    """Assigns each row to train (0), valid (1) or test (2).

    - ``random``: by the row's absolute number in the log, so that neither batch size nor file layout matters.
    - ``time``: the earliest rows are train, the latest test. Rows of one instant stay together, so shares are exact up to ties.
    - ``group``: all rows of a group go to one part, by a hash of the group's value; shares hold for groups, on average.

    Raises :class:`InputError` for shares that are not shares, and for a kind that lacks its column.

    >>> Splitter("random", (0.8, 0.1, 0.1), seed=0).assign(pa.record_batch({"a": range(8)}), first_row=0)
    array([0, 0, 0, 0, 0, 0, 2, 2], dtype=int8)
    """

    def __init__(self, kind: SplitKind, fractions: Sequence[float], seed: int, column: str | None = None):
        shares = tuple(float(share) for share in fractions)
        problems = []
        if kind not in ("random", "time", "group"):
            problems.append(f"split {kind!r} is unknown. Choose random, time or group.")
        if len(shares) != 3 or not shares[0] > 0 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            problems.append(
                f"{setting('fractions')}: shares of train, valid and test must be positive and sum to 1; found {shares}."
            )
        if seed < 0:
            problems.append(f"the seed of a split must be 0 or more; found {seed}.")
        if kind in ("time", "group") and column is None:
            problems.append(
                f"split by {kind}: the schema names no {kind} column. Write '{kind}: COLUMN' in the schema, "
                f"infer it with manygate schema --{kind} COLUMN, or split at random."
            )
        raise_all(problems)
        self.kind, self.fractions, self.seed, self.column = kind, shares, seed, column
        train, valid, test = shares
        last = train + valid if test else 1.0
        self._bounds = np.array([train if valid else last, last])  # exactly no row where a share is 0
        self._cuts: np.ndarray | None = None

    @classmethod
    def for_schema(cls, kind: SplitKind, fractions: Sequence[float], seed: int, schema: Schema) -> Splitter:
        """A splitter on the schema's ``time`` or ``group`` column."""
        return cls(kind, fractions, seed, {"time": schema.time, "group": schema.group}.get(kind))

    def fit(self, table: Table) -> Splitter:
        """Learn the cut points of a split by time, in one pass over its column; the other kinds learn nothing.

        Raises :class:`InputError` if the column is missing or neither dates nor numbers, if a time is null or NaN, or if there
        are fewer instants than parts.
        """
        if self.column is not None:
            table.require([self.column], f"split by {self.kind}")
        if self.kind == "time" and self.column is not None:
            table.require_rows()
            self._cuts = self._find_cuts(table, self.column)
        return self

    def assign(self, batch: pa.RecordBatch, first_row: int, location: str = "") -> np.ndarray:
        """Parts of the rows of a batch that starts at absolute row ``first_row``: int8, shape (B,)."""
        if self.kind == "random":
            return self._part_of(_uniform(self.seed, first_row, batch.num_rows))
        assert self.column is not None
        column = batch.column(self.column)
        location = location or f"rows {first_row} to {first_row + batch.num_rows - 1}"
        if self.kind == "group":
            _no_nulls(column, self.column, location, "group")
            return self._part_of(_hashed(column, self.seed))
        assert self._cuts is not None, "call fit before assign"
        time_B = time_numbers(column, self.column, location)
        return np.searchsorted(self._cuts, time_B, side="right").astype(np.int8)

    def check_counts(self, counts: Sequence[int], name: str = "the log") -> None:
        """Raise an :class:`InputError` if a part with a share got no row; ``counts`` are rows of train, valid, test."""
        raise_all(
            f"{name}: split by {self.kind} leaves {part} without rows (share {share:g} of {sum(counts)} rows"
            + (f", by column {self.column!r}). " if self.column else "). ")
            + f"Give {part} a larger share with {setting('fractions')}, or split by another kind."
            for part, share, count in zip(PARTS, self.fractions, counts, strict=True)
            if share > 0 and count == 0
        )

    def _part_of(self, uniform_B: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._bounds, uniform_B, side="right").astype(np.int8)

    def _find_cuts(self, table: Table, column: str) -> np.ndarray:
        """The first instant of valid and of test."""
        values, counts = _instants(table, column)
        seen = np.cumsum(counts)
        ends = [int(np.argmin(np.abs(np.r_[0, seen] - share * seen[-1]))) for share in self._bounds]
        wanted = [share > 0 for share in self.fractions]
        if len(values) < sum(wanted):
            raise InputError(
                f"{table.name}: split by time: column {column!r} has {len(values)} distinct values, so rows for "
                f"{sum(wanted)} parts cannot be told apart. Split at random, or name another time column."
            )
        # Where ties are so long that the nearest cut would empty a part, that part gets one instant.
        last = len(values) - int(wanted[2])
        ends[1] = min(max(ends[1], 1 + int(wanted[1])), last)
        ends[0] = min(max(ends[0], 1), ends[1] - int(wanted[1]))
        if not wanted[1]:
            ends[0] = ends[1]
        cuts = [values[end] if end < len(values) else None for end in ends]
        above = [cut for cut in cuts if cut is not None]
        return np.array(above, dtype=values.dtype)


def split_log(
    table: Table,
    kind: SplitKind,
    fractions: Sequence[float],
    seed: int,
    schema: Schema,
    columns: Sequence[str] | None = None,
    rows: int = 131_072,
    observe: Callable[[pa.RecordBatch], None] | None = None,
) -> Iterator[tuple[str, pa.RecordBatch, np.ndarray]]:
    """Every batch of a log with the parts of its rows: (location, batch, part_B as int8: 0 train, 1 valid, 2 test).

    ``columns`` are those wanted in the batches (default: all). ``observe`` is called with each batch before it is divided; it has
    the column of the split, too. Raises :class:`InputError` as :class:`Splitter` does, and at the
    end if a part has no rows.

    >>> from manygate.data.table import open_table
    >>> from manygate.schema import Feature, Task
    >>> schema = Schema(features=(Feature(name="a", kind="dense"),), tasks=(Task(name="click"),), time="day")
    >>> log = open_table(pa.table({"day": [3, 1, 2, 4], "a": [0.1, 0.2, 0.3, 0.4], "click": [0, 1, 0, 1]}))
    >>> [part.tolist() for _, _, part in split_log(log, "time", (0.5, 0.25, 0.25), 0, schema)]
    [[1, 0, 0, 2]]
    """
    splitter = Splitter.for_schema(kind, fractions, seed, schema).fit(table)
    wanted = list(table.column_names if columns is None else columns)
    read = list(dict.fromkeys([*wanted, *([splitter.column] if splitter.column else [])]))
    counts, first_row = np.zeros(3, dtype=np.int64), 0
    for location, batch in table.batches(read, rows):
        if observe is not None:
            observe(batch)
        part_B = splitter.assign(batch, first_row, location)
        counts += np.bincount(part_B, minlength=3)
        first_row += batch.num_rows
        yield location, batch.select(wanted), part_B
    splitter.check_counts(counts.tolist(), table.name)


def _uniform(seed: int, first_row: int, count: int) -> np.ndarray:
    """Row i's own number in [0, 1): Philox is addressed by position, four numbers to a counter."""
    block, skip = divmod(first_row, 4)
    bits = np.random.Philox(key=seed, counter=block).random_raw(skip + count)[skip:]
    return (bits >> np.uint64(11)) * 2.0**-53


def _hashed(column: pa.Array, seed: int) -> np.ndarray:
    """A number in [0, 1) for each value; 7, 7.0 and "7" share one, so that CSV and Parquet split alike."""
    encoded = column.dictionary_encode() if not pt.is_dictionary(column.type) else column
    key = seed.to_bytes(16, "little")
    uniform = np.array([_hash_one(value, key) for value in encoded.dictionary.to_pylist()], dtype=np.float64)
    return uniform[encoded.indices.to_numpy(zero_copy_only=False)]


def _hash_one(value: object, key: bytes) -> float:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, bytes) else str(value).encode()
    return (keyed_hash(text, key) >> 11) * 2.0**-53


def _no_nulls(column: pa.Array, name: str, location: str, role: str) -> None:
    if pt.is_nested(column.type):
        raise InputError(f"{location}: {role} column {name!r} is {column.type}; it must hold one plain value a row.")
    nulls = column.null_count
    if pt.is_floating(column.type):
        nulls = pc.sum(pc.fill_null(pc.is_nan(column), True)).as_py() or 0
    if nulls:
        raise InputError(
            f"{location}: {role} column {name!r} is null in {nulls} of {len(column)} rows, so these rows have no part. "
            "Fill the nulls, drop those rows, or split at random."
        )


def time_numbers(column: pa.Array, name: str, location: str) -> np.ndarray:
    """Times as numbers that sort alike: int64, uint64 or float64.

    Raises :class:`InputError` that names the location if a time is null or NaN, or if the column is neither dates nor numbers.
    """
    kind = column.type
    if not (pt.is_timestamp(kind) or pt.is_date(kind) or pt.is_integer(kind) or pt.is_floating(kind)):
        raise InputError(
            f"{location}: time column {name!r} is {kind}; it must hold timestamps, dates or numbers. "
            "Convert it where the log is written, or split at random."
        )
    _no_nulls(column, name, location, "time")
    if pt.is_date(kind):
        column = column.cast(pa.date32()).cast(pa.int32())
    elif pt.is_timestamp(kind):
        column = column.cast(pa.int64())
    return column.to_numpy(zero_copy_only=False)


def _instants(table: Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Distinct times in order, with their rows. Memory follows the number of distinct times."""
    values: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    pending, settled = 0, 0
    for location, batch in table.batches([column]):
        instants, times = np.unique(time_numbers(batch.column(column), column, location), return_counts=True)
        values.append(instants)
        counts.append(times)
        pending += len(instants)
        if pending > max(1 << 20, settled):
            values, counts = map(list, zip(_merged(values, counts), strict=True))
            pending, settled = 0, len(values[0])
    return _merged(values, counts)


def _merged(values: list[np.ndarray], counts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    instants, inverse = np.unique(np.concatenate(values), return_inverse=True)
    totals = np.zeros(len(instants), dtype=np.int64)
    np.add.at(totals, inverse, np.concatenate(counts))
    return instants, totals
