"""Returns a table as the kind of frame that the user gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import pyarrow as pa

from manygate.data.table import Table


def like_source(table: pa.Table, source: Any) -> Any:
    """A pyarrow table as the kind of frame that ``source`` is; rows must match for a pandas index to carry over."""
    if isinstance(source, str | Path | Table | pa.Table | pa.RecordBatch | list):
        return table
    frame = nw.from_native(source)
    if frame.implementation.is_duckdb():
        import duckdb

        return duckdb.from_arrow(table)
    eager = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    made = nw.from_arrow(table, backend=eager.implementation)
    index = nw.maybe_get_index(eager)
    if index is not None and len(index) == len(made):
        made = nw.maybe_set_index(made, index=[index])
    return made.lazy().to_native() if isinstance(frame, nw.LazyFrame) else made.to_native()
