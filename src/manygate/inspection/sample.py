"""This module samples the rows to inspect, and divides them into segments by the values of a column.

The rows are spread evenly over a log, and are the same every time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.config import CsvConfig, DataConfig
from manygate.data.encode import Encoder
from manygate.data.rows import Rows
from manygate.data.sources import open_sources
from manygate.data.table import Table
from manygate.errors import InputError, setting

SEGMENTS = 10
BINS = 5
"""The number of parts of equal size that a column of fractions or times is cut into."""


def read_sample(
    encoder: Encoder, log: Any, rows: int, by: str | None = None, csv: CsvConfig | None = None
) -> tuple[str, int, Rows, pa.Array | None]:
    """Read at most ``rows`` labelled rows of a log, or of the test part of a data set, encoded as they are for serving.

    Returns the log's name, the number of its rows, the encoded rows and their values in the column ``by``.
    """
    sources = open_sources(log, DataConfig.of_csv(csv), types=encoder.types)
    table = sources.test or sources.train
    columns = encoder.schema.evaluated_columns
    table.require(columns, "needed to inspect")
    if by is not None:
        table.require([by], f"named by {setting('by')}")
        if pt.is_nested(table.arrow_schema.field(by).type):
            raise InputError(f"{table.name}: {setting('by', by)} holds lists. Name a column with one plain value a row.")
    table.require_rows()
    encoder.check(table.arrow_schema, table.name, columns, table.mismatches)
    total = table.count() or _count(table)
    sampled = np.unique(np.linspace(0, total - 1, min(rows, total)).round().astype(np.int64))
    parts, segments, start = [], [], 0
    for path, batch in table.batches(list(dict.fromkeys([*columns, *([by] if by else [])]))):
        rows_of_batch = sampled[(sampled >= start) & (sampled < start + batch.num_rows)] - start
        start += batch.num_rows
        if len(rows_of_batch):
            taken = batch.take(pa.array(rows_of_batch))
            parts.append(encoder.encode(taken, path, bias=False))
            segments.append(taken.column(by) if by else None)
    return table.name, total, Rows.concat(parts), pa.chunked_array(segments).combine_chunks() if by else None


def _count(table: Table) -> int:
    return sum(batch.num_rows for _, batch in table.batches([table.column_names[0]]))


def segments_of(column: pa.Array) -> list[tuple[str, np.ndarray]]:
    """List the largest segments of a column, at most 10, the largest first: the name of each and a mask of its rows.

    A column of fractions or of times with more than 10 values is cut into 5 parts of about the same size.

    >>> [(name, rows.tolist()) for name, rows in segments_of(pa.array(["b", "a", "b", None]))]
    [('b', [True, False, True, False]), ('a', [False, True, False, False]), ('null', [False, False, False, True])]
    """
    kind = column.type
    if (pt.is_floating(kind) or pt.is_temporal(kind)) and len(column.unique()) > SEGMENTS:
        return _cut(column)
    text = column.cast(pa.string()) if not pt.is_string(kind) else column
    text = pc.fill_null(text, "null")
    counts = sorted(
        pc.value_counts(text).to_pylist(), key=lambda count: (-count["counts"], count["values"] == "null", count["values"])
    )
    return [(count["values"], pc.equal(text, count["values"]).to_numpy(zero_copy_only=False)) for count in counts[:SEGMENTS]]


def _cut(column: pa.Array) -> list[tuple[str, np.ndarray]]:
    """Cut a column into parts of equal size, from the lowest values to the highest; nulls and NaN make the last part."""
    if pt.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    known_N = column.is_valid().to_numpy(zero_copy_only=False)
    order = pc.sort_indices(column).to_numpy()[: known_N.sum()]  # nulls come last
    parts = []
    for part in np.array_split(order, BINS):
        rows_N = np.zeros(len(column), dtype=bool)
        rows_N[part] = True
        parts.append((f"{_short(column[int(part[0])])} to {_short(column[int(part[-1])])}", rows_N))
    return [*parts, ("null", ~known_N)] if not known_N.all() else parts


def _short(value: pa.Scalar) -> str:
    plain = value.as_py()
    return f"{plain:.4g}" if isinstance(plain, float) else str(plain)[:19]
