"""Reads Parquet and Arrow files as Arrow record batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from manygate.data.formats.paths import DAMAGED
from manygate.errors import InputError, os_reason, raise_all


@dataclass(frozen=True)
class Part:
    """One file or one table in memory. ``read(columns, rows, unit)`` yields batches as stored; None is every unit.

    ``remarks`` has words for the note of a column, ``warnings`` pairs of a column, or None, and what a user must know.
    ``written`` is the same part with the text of its columns as it stands in the file, where that differs.
    """

    location: str
    schema: pa.Schema
    rows: int | None
    units: int
    read: Callable[[list[str], int, int | None], Iterator[pa.RecordBatch]]
    remarks: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[tuple[str | None, str], ...] = ()
    mismatches: Mapping[str, str] = field(default_factory=dict)
    written: Part | None = None


@contextmanager
def reading(location: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system; a damaged file has no number
            raise InputError(f"{location}: cannot be read {os_reason(error)}") from None
        raise InputError(f"{location}: cannot be read: {' '.join(str(error).split())}. {DAMAGED}.") from None


def name_problems(location: str, names: list[str]) -> list[str]:
    twice = [name for name, times in Counter(names).items() if times > 1]
    problems = [f"{location}: column {name!r} is there twice. Rename or drop one." for name in twice]
    return problems if names else [f"{location}: the table has no columns."]


def _open_parquet(path: str) -> Part:
    def open_file() -> pq.ParquetFile:
        return pq.ParquetFile(path, page_checksum_verification=True)

    with reading(path), open_file() as file:
        schema, metadata = file.schema_arrow, file.metadata
    raise_all(name_problems(path, schema.names))

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        with reading(path), open_file() as file:
            for group in range(file.num_row_groups) if unit is None else [unit]:
                with reading(f"{path}, row group {group}"):
                    yield from file.iter_batches(rows, row_groups=[group], columns=columns)

    return Part(path, schema, metadata.num_rows, metadata.num_row_groups, read)


def _open_arrow(path: str) -> Part:
    with Path(path).open("rb") as head:
        is_file = head.read(6) == b"ARROW1"
    open_ipc = ipc.open_file if is_file else ipc.open_stream
    with reading(path), pa.memory_map(path) as source, open_ipc(source) as reader:
        schema = reader.schema
        rows, units = (reader.count_rows(), reader.num_record_batches) if is_file else (None, 1)
    raise_all(name_problems(path, schema.names))

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        options = ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in columns])
        with reading(path), pa.memory_map(path) as source, open_ipc(source, options=options) as reader:
            indices = range(reader.num_record_batches if unit is None else 1) if is_file else [0]
            for index in indices:
                with reading(f"{path}, record batch {index if unit is None else unit}"):
                    whole = [reader.get_batch(index if unit is None else unit)] if is_file else reader
                    for batch in whole:
                        yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))

    return Part(path, schema, rows, units, read)


OPENERS: dict[str, Callable[[str], Part]] = {"Parquet": _open_parquet, "Arrow": _open_arrow}
"""The readers of files that hold their types; :mod:`manygate.data.formats.csv_files` reads those that do not."""
