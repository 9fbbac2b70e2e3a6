"""Opens CSV files. A first pass looks at every value of every column; the types that it chooses then hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.types as pt

from manygate.config.csv_settings import CsvConfig
from manygate.data.formats.csv_dialect import Dialect, find_dialect, not_in_encoding
from manygate.data.formats.csv_types import Column, Reading, choose_reading, mismatches
from manygate.data.formats.paths import each
from manygate.data.formats.readers import Part, name_problems, reading
from manygate.errors import InputError, either, raise_all, setting

BLOCK = 1 << 24


@dataclass(frozen=True)
class _File:
    """A CSV file whose values have been looked at."""

    path: str
    dialect: Dialect
    settings: CsvConfig
    names: tuple[str, ...]
    rows: int
    columns: Mapping[str, Column]

    @property
    def empty_is_missing(self) -> bool:
        """True where "" stands for a missing value: in a file that puts quotes around all it writes, and leaves no field empty."""
        return self.dialect.quoted_names and not any(column.nulls for column in self.columns.values())


def open_csv_files(paths: Sequence[str], types: Mapping[str, pa.DataType], settings: CsvConfig) -> list[Part]:
    """Open the CSV files of one log; ``types`` are those of training.

    A column has one type in all files: the one that is asked for, else that of training where the values allow it, else by the
    values. Whole numbers in their one form are int64 (or uint64); any others that are not decimals, such as 007, are text.
    """
    files = each(lambda path: _look_through(path, settings), paths)
    merged: dict[str, Column] = {}
    for file in files:
        for name, column in file.columns.items():
            merged.setdefault(name, Column(name)).merge(column)
    readings = {name: choose_reading(column, settings.kinds.get(name), types.get(name)) for name, column in merged.items()}
    differing = mismatches(merged, readings, types)
    warned = [(name, column.warning(file)) for name, column, file in _with_files(merged, files) if name not in settings.kinds]
    warnings = tuple((name, warning) for name, warning in warned if warning is not None)
    parts = [_part(file, readings, differing) for file in files]
    parts[0] = replace(parts[0], warnings=(*warnings, *parts[0].warnings))
    return [replace(part, written=_written(file, merged, types, settings)) for part, file in zip(parts, files, strict=True)]


def _with_files(merged: Mapping[str, Column], files: Sequence[_File]) -> Iterator[tuple[str, Column, str]]:
    for name, column in merged.items():
        yield name, column, files[0].path if len(files) == 1 else f"{files[0].path} and {len(files) - 1} more"


def _written(file: _File, merged: Mapping[str, Column], types: Mapping[str, pa.DataType], settings: CsvConfig) -> Part:
    """The part with its columns as they stand in the file: whole numbers that have one form as such, all else as text."""
    whole = replace(file, settings=settings.model_copy(update={"null_values": ()}))
    readings = {}
    for name, column in merged.items():
        chosen = choose_reading(column, settings.kinds.get(name), types.get(name))
        exact = pt.is_integer(column.kind) and "spaced" not in column.forms and not column.needs_text and not settings.null_values
        readings[name] = Reading(column.kind if exact and not pt.is_string(chosen.kind) else pa.string())
    return _part(whole, readings, {})


def _part(file: _File, readings: Mapping[str, Reading], differing: Mapping[str, str]) -> Part:
    chosen = {name: readings[name] for name in file.names}

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        stored = {name: chosen[name].stored for name in columns}
        first = 0
        for batch in _batches(file.path, file.dialect, file.settings, stored, columns, file.empty_is_missing):
            arrays = [_read_column(file.path, name, batch.column(name), chosen[name], first) for name in columns]
            whole = pa.RecordBatch.from_arrays(arrays, columns)
            first += batch.num_rows
            yield from (whole.slice(start, rows) for start in range(0, batch.num_rows, rows))

    schema = pa.schema([(name, reading.kind) for name, reading in chosen.items()])
    remarks = {name: column.remark() for name, column in file.columns.items() if name not in file.settings.kinds}
    warnings = tuple((None, column.long_field) for column in file.columns.values() if column.long_field)
    return Part(file.path, schema, file.rows, 1, read, {k: v for k, v in remarks.items() if v}, warnings, differing)


def _read_column(path: str, name: str, values: pa.Array, reading: Reading, first: int) -> pa.Array:
    if reading.wording is None:
        return values
    try:
        return reading.wording.read(values)
    except pa.ArrowInvalid as error:
        quoted = re.search(r"string: ?'(.*?)'(?: as|$)", str(error), re.DOTALL) or re.search(r"value: (.*)", str(error), re.DOTALL)
        shown = repr(quoted[1][:40]) if quoted else str(error)
        raise InputError(
            f"{path}, from row {first + 1:,} on: column {name!r} holds {shown}, which is no {_words(reading.kind)}. Mend the "
            f"value, or ask for another kind: {setting('types', f'{name}=text')}."
        ) from None


def _words(kind: pa.DataType) -> str:
    named = ((pt.is_integer, "whole number"), (pt.is_floating, "number"), (pt.is_boolean, "true or false"))
    return next((words for test, words in named if test(kind)), str(kind))


def _look_through(path: str, settings: CsvConfig) -> _File:
    """Look at every value of a file, in blocks."""
    with reading(path):
        dialect = find_dialect(path, settings)
    names = list(dialect.names)
    raise_all(_problems_of_names(path, names, dialect))
    columns = {name: Column(name) for name in names}
    rows = 0
    for batch in _batches(path, dialect, settings, dict.fromkeys(names, pa.string()), names, False):
        for name, column in columns.items():
            column.add(batch.column(name), path)
        rows += batch.num_rows
    raise_all(_second_lines_of_names(path, columns))
    return _File(path, dialect, settings, tuple(names), rows, columns)


def _problems_of_names(path: str, names: list[str], dialect: Dialect) -> list[str]:
    if any("\0" in name for name in names):
        encoding = setting("file_encoding", "utf-16")
        return [f"{path}: the name of a column holds a zero byte. If the file is UTF-16, say {encoding}; else write it again."]
    problems = name_problems(path, names)
    if problems and dialect.header:
        problems[-1] += f" If the file has no line of names, say {either('header=False', '--no-header')}."
    return problems


def _second_lines_of_names(path: str, columns: Mapping[str, Column]) -> list[str]:
    """Files that were joined with their lines of names would make text of every number."""
    rows = {
        column.examples["other"][1]
        for name, column in columns.items()
        if "other" in column.examples and column.examples["other"][0] == name and len(column.forms) > 1
    }
    return [f"{path}: {min(rows)} repeats the line of names. Files were joined with it; take it out."] if rows else []


def _batches(
    path: str, dialect: Dialect, settings: CsvConfig, kinds: Mapping[str, pa.DataType], columns: list[str], empty_is_missing: bool
) -> Iterator[pa.RecordBatch]:
    if dialect.only_names:
        return
    read = pc_csv.ReadOptions(
        use_threads=False,  # errors then tell the line, at the same speed
        block_size=BLOCK,
        skip_rows=dialect.skip,
        skip_rows_after_names=int(dialect.header),
        column_names=list(dialect.names),
        encoding=dialect.encoding,
    )
    parse = pc_csv.ParseOptions(
        delimiter=dialect.separator,
        quote_char=dialect.quote or False,
        escape_char=dialect.escape or False,
        newlines_in_values=True,
        ignore_empty_lines=len(dialect.names) > 1,
    )
    convert = pc_csv.ConvertOptions(
        column_types=dict(kinds),
        include_columns=columns,
        null_values=["", *settings.null_values],
        strings_can_be_null=True,
        quoted_strings_can_be_null=empty_is_missing,
    )
    try:
        with pc_csv.open_csv(path, read, parse, convert) as reader:
            yield from reader
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise InputError(_problem(path, " ".join(str(error).split()), dialect, columns)) from None


def _problem(path: str, error: str, dialect: Dialect, columns: list[str]) -> str:
    """An error of Arrow's reader, with the names of line and column and with a remedy."""
    line, column = re.search(r"Row #(\d+)", error), re.search(r"CSV column #(\d+)", error)
    number = int(line[1]) + (dialect.skip + dialect.header if "parse error" not in error else 0) if line else None
    location = f"{path}, line {number}" if number else path
    if "UTF8" in error or "codec can't" in error:
        return not_in_encoding(path, dialect.encoding, number)
    if "straddling" in error:
        return (
            f"{path}: a quoted field is longer than {BLOCK >> 20} MB. A quote probably stands there by mistake: mend it, or say "
            f"{setting('quote', 'none')} if quotes have no meaning in this file."
        )
    options = ", ".join(setting(name) for name in ("separator", "quote", "escape"))
    if column is not None:
        return f"{location}: column {columns[int(column[1])]!r}: {error}. The file changed while it was read: try again."
    return f"{location}: cannot be read: {error}. Mend the line; or, if the file is written in another form, say so: {options}."
