"""Reads Parquet, Arrow and CSV files as Arrow record batches."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pyarrow.types as pt

from manygate.data.paths import DAMAGED
from manygate.errors import InputError, raise_all

CSV_BLOCK = 1 << 24


@dataclass(frozen=True)
class Part:
    """One file or one table in memory. ``read(columns, rows, unit)`` yields batches as stored; None is every unit."""

    location: str
    schema: pa.Schema
    rows: int | None
    units: int
    read: Callable[[list[str], int, int | None], Iterator[pa.RecordBatch]]


@contextmanager
def reading(location: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{location}: cannot be read: {' '.join(str(error).split())}. {DAMAGED}.") from None


def name_problems(location: str, names: list[str]) -> list[str]:
    twice = [name for name, times in Counter(names).items() if times > 1]
    problems = [f"{location}: column {name!r} is there twice. Rename or drop one." for name in twice]
    return problems if names else [f"{location}: the table has no columns."]


def _open_parquet(path: str, types: Mapping[str, pa.DataType]) -> Part:
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


def _open_arrow(path: str, types: Mapping[str, pa.DataType]) -> Part:
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


def _convert(**options: Any) -> pc_csv.ConvertOptions:
    """Only an empty field is null: "NA", "null" and "?" are values of a text column."""
    return pc_csv.ConvertOptions(null_values=[""], strings_can_be_null=True, **options)


def _open_csv(path: str, types: Mapping[str, pa.DataType]) -> Part:
    def stream(kinds: Mapping[str, pa.DataType] | None, columns: list[str] | None = None) -> pc_csv.CSVStreamingReader:
        return pc_csv.open_csv(
            path,
            pc_csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK),  # errors then tell the line, at the same speed
            pc_csv.ParseOptions(delimiter="\t" if ".tsv" in Path(path).name.lower() else ",", newlines_in_values=True),
            _convert(column_types=kinds, include_columns=columns),
        )

    with reading(path), stream(None) as reader:
        schema = reader.schema
    raise_all(name_problems(path, schema.names))
    kinds = {field.name: types.get(field.name, field.type) for field in schema}
    kinds |= _late_types(path, [name for name, kind in kinds.items() if pt.is_null(kind)], stream)
    raise_all(
        f"{path}: column {name!r} is not UTF-8 text. Convert the file, for example with 'iconv -t UTF-8'."
        for name, kind in kinds.items()
        if pt.is_binary(kind)
    )

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        try:
            with stream({name: kinds[name] for name in columns}, columns) as reader:
                for batch in reader:
                    yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))
        except (OSError, pa.ArrowException) as error:
            raise InputError(_csv_problem(path, str(error), kinds)) from None

    return Part(path, pa.schema(kinds.items()), None, 1, read)


def _late_types(path: str, names: list[str], stream: Callable[..., Any]) -> dict[str, pa.DataType]:
    """Types of CSV columns that are empty in the first block (16 MB), from the first of 64 blocks where they are not."""
    types: dict[str, pa.DataType] = {}
    if names:
        with reading(path), stream(dict.fromkeys(names, pa.string()), names) as reader:
            for batch in islice(reader, 64):
                for name in names:
                    values = batch.column(name).drop_null()
                    if name not in types and len(values):
                        text = b"\n".join(b'"%s"' % v.encode().replace(b'"', b'""') for v in ["x", *values.to_pylist()])
                        lines = pc_csv.ParseOptions(newlines_in_values=True)
                        types[name] = pc_csv.read_csv(pa.BufferReader(text), None, lines, _convert()).schema.types[0]
                if len(types) == len(names):
                    break
    return types


def _csv_problem(path: str, error: str, kinds: Mapping[str, pa.DataType]) -> str:
    """An error of pyarrow's reader, with the names of line and column and with a remedy."""
    line, column = re.search(r"Row #(\d+)", error), re.search(r"CSV column #(\d+)", error)
    location = f"{path}, line {line[1]}" if line else path
    value = re.search(r"invalid value '(.*)'", error, re.DOTALL)
    if column is None or value is None:
        return f"{location}: cannot be read: {error}. Mend the line, or write the file again (as Parquet, best)."
    name, kind = list(kinds.items())[int(column[1])]
    return (
        f"{location}: column {name!r} holds {value[1]!r}, where the rows before hold {kind}. Mend the value, write the log as "
        f"Parquet, or fix the type: open_table(..., types={{{name!r}: pa.string()}})."
    )


OPENERS: dict[str, Callable[[str, Mapping[str, pa.DataType]], Part]] = {
    "Parquet": _open_parquet,
    "Arrow": _open_arrow,
    "CSV": _open_csv,
}
