"""Fingerprints of tables: a digest of every value of each column, computed batch by batch while the rows are read for another use.

The digest depends on the values and their order, and neither on the batches nor on the file format. Numbers give the
same digest in every type that holds them, as do strings and times of every encoding. NaN counts as null, as it does in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.data.table import Table
from manygate.results.log_record import ColumnRecord, TableRecord

DIGEST_LENGTH = 32
"""Hexadecimal digits of a column's digest that are kept: 128 bits."""
EXACT = 2**53
"""float64 holds every whole number up to this one."""
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@final
class TableFingerprint:
    """The fingerprint of a stream of batches.

    >>> whole, parts = TableFingerprint(), TableFingerprint()
    >>> whole.add(pa.record_batch({"item": ["a", "b", None]}))
    >>> for rows in (["a"], ["b", None]):
    ...     parts.add(pa.record_batch({"item": pa.array(rows, pa.large_string())}))
    >>> whole.columns() == parts.columns()
    True
    """

    def __init__(self) -> None:
        self.rows = 0
        self._digests: dict[str, _Digest] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the next rows. Every batch has the same columns."""
        for field, values in zip(batch.schema, batch.columns, strict=True):
            if field.name not in self._digests:
                self._digests[field.name] = _Digest(field.type)
            self._digests[field.name].add(values)
        self.rows += batch.num_rows

    def columns(self) -> list[ColumnRecord]:
        """The columns with the digests of the rows so far."""
        return [ColumnRecord(name=name, type=digest.type, digest=digest.read()) for name, digest in self._digests.items()]

    def record(self, part: str, table: Table) -> TableRecord:
        """The record of a table of which every row was added."""
        files = {"files": found} if (found := table.files()) else {}
        return TableRecord(part=part, name=table.name, paths=list(table.paths), rows=self.rows, columns=self.columns(), **files)


def type_word(kind: pa.DataType) -> str:
    """The word for a type and for all types that encode the same values.

    >>> type_word(pa.int8()), type_word(pa.list_(pa.large_string())), type_word(pa.timestamp("ms", "UTC"))
    ('whole number', 'list of text', 'time in UTC')
    """
    if pt.is_integer(kind):
        return "whole number"
    if pt.is_floating(kind):
        return "fraction"
    if pt.is_string(kind) or pt.is_large_string(kind):
        return "text"
    if pt.is_list(kind) or pt.is_large_list(kind):
        return f"list of {type_word(kind.value_type)}"
    if pt.is_timestamp(kind):
        return f"time in {kind.tz}" if kind.tz else "time"
    return str(kind)


class _Digest:
    """The digest of one column: one hash of nulls and lengths, and one of the values."""

    def __init__(self, kind: pa.DataType):
        self.type = type_word(kind)
        self._rows = 0
        self._shape, self._values = sha256(), sha256()
        self._inner = _Digest(kind.value_type) if self.type.startswith("list of ") else None

    def read(self) -> str:
        content = self._shape.digest() + self._values.digest() + (self._inner.read().encode() if self._inner else b"")
        return sha256(content).hexdigest()[:DIGEST_LENGTH]

    def add(self, values: pa.Array) -> None:
        kind = values.type
        if self._inner is not None:
            self._add_lengths(pc.list_value_length(values))
            self._inner.add(pc.list_flatten(values))
        elif pt.is_floating(kind) or pt.is_integer(kind):
            self._values.update(_numbers(values).data)
            if pt.is_integer(kind):
                self._add_inexact(values)
        elif self.type in ("text", "binary", "large_binary"):
            self._add_lengths(pc.binary_length(values))
            self._values.update(_characters(values))
        else:
            self._add_nulls(values)
            self._values.update(_fixed_width(values).data)
        self._rows += len(values)

    def _add_lengths(self, lengths: pa.Array) -> None:
        self._shape.update(pc.fill_null(lengths, -1).cast(pa.int32()).to_numpy(zero_copy_only=False).data)

    def _add_inexact(self, values: pa.Array) -> None:
        """Add the positions and the exact values of whole numbers that float64 rounds."""
        value_N = _whole(values)
        if value_N.dtype.itemsize < 8:
            return
        large_N = value_N > EXACT if value_N.dtype == np.uint64 else (value_N > EXACT) | (value_N < -EXACT)
        if large_N.any():
            place_n = np.flatnonzero(large_N)
            self._shape.update(np.stack([place_n + self._rows, value_N[place_n].view(np.int64)], axis=1).data)

    def _add_nulls(self, values: pa.Array) -> None:
        """Add the positions of the nulls, which do not depend on the batches."""
        if values.null_count:
            self._shape.update((np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False)) + self._rows).data)


def _numbers(values: pa.Array) -> np.ndarray:
    """Numbers as float64, with one NaN for every null and every NaN."""
    value_N = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    nan_N = np.isnan(value_N)
    return np.where(nan_N, np.nan, value_N) if nan_N.any() else np.ascontiguousarray(value_N)


def _characters(values: pa.Array) -> pa.Buffer | bytes:
    """The bytes of all strings, one after another."""
    values = values.drop_null()
    _, offsets, data = values.buffers()
    if data is None or not len(values):
        return b""
    width = np.int64 if pt.is_large_string(values.type) or pt.is_large_binary(values.type) else np.int32
    bound_N = np.frombuffer(offsets, width)[values.offset : values.offset + len(values) + 1]
    first, last = int(bound_N[0]), int(bound_N[-1])
    return data.slice(first, last - first)


def _fixed_width(values: pa.Array) -> np.ndarray:
    """Values of another type as numbers, 0 for null: what represents them must not depend on the encoding."""
    kind = values.type
    if pt.is_boolean(kind):
        return _whole(values.cast(pa.int8()))
    if pt.is_timestamp(kind):
        second_N, rest_N = np.divmod(_whole(values.cast(pa.int64())), PER_SECOND[kind.unit])
        nano_N = rest_N * (PER_SECOND["ns"] // PER_SECOND[kind.unit])
        return np.stack([second_N, nano_N], axis=1)
    if pt.is_date32(kind) or pt.is_time32(kind):
        return _whole(values.cast(pa.int32()))
    if pt.is_time64(kind) or pt.is_duration(kind):
        return _whole(values.cast(pa.int64()))
    return _texts(values.to_pylist())


def _whole(values: pa.Array) -> np.ndarray:
    return np.ascontiguousarray(pc.fill_null(values, 0).to_numpy(zero_copy_only=False))


def _texts(values: Sequence[object]) -> np.ndarray:
    """Values of a rare type (a struct, a map) as text; slow."""
    return np.frombuffer("\n".join(map(repr, values)).encode("utf-8", "surrogatepass") + b"\n", dtype=np.uint8)
