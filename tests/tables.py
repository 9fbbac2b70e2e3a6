"""Tables in files of every format, and what reading them gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.ipc as ipc
import pytest

from manygate.data.table import Table, open_table
from manygate.errors import InputError

ROWS = {"user": ["a", "b", None, "NA"], "price": [1.5, 2.0, None, 4.25], "click": [0, 1, 1, 0]}
LOG = pa.table(ROWS)


def read(table: Table, columns: list[str] | None = None, rows: int = 131_072) -> dict[str, list[Any]]:
    batches = [batch for _, batch in table.batches(columns, rows)]
    assert all(0 < batch.num_rows <= rows for batch in batches)
    schema = pa.schema([table.arrow_schema.field(name) for name in columns or table.column_names])
    return pa.Table.from_batches(batches, schema).to_pydict()


def problems(source: Any, **settings: Any) -> tuple[str, ...]:
    """Open and read to the end; the problems of the one error that this must raise."""
    with pytest.raises(InputError) as caught:
        for _ in open_table(source, **settings).batches():
            pass
    return caught.value.problems


def write_file(table: pa.Table, path: Path) -> None:
    with ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def write_csv(table: pa.Table, path: Path) -> None:
    tab = ".tsv" in path.name
    with pa.output_stream(path) as sink:  # compresses by the ending
        pc_csv.write_csv(table, sink, pc_csv.WriteOptions(delimiter="\t" if tab else ",", quoting_style="needed"))
