"""Reads any table as Arrow record batches: Parquet, CSV, Arrow files, folders of them, and every dataframe of narwhals."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import narwhals.stable.v2 as nw
import pyarrow as pa
import pyarrow.types as pt

from manygate.config import CsvConfig
from manygate.data.formats.asked_types import with_kinds
from manygate.data.formats.csv_files import open_csv_files
from manygate.data.formats.part_paths import refuse_parts
from manygate.data.formats.partitions import with_folder_columns
from manygate.data.formats.paths import check_content, each, ending, expand, read_once
from manygate.data.formats.plain_frame import frame_to_arrow
from manygate.data.formats.readers import OPENERS, Part, name_problems
from manygate.data.types import cast, common_type, is_stored_exactly, normal_field
from manygate.errors import InputError, did_you_mean, raise_all, setting


@final
class Table:
    """Rows from any source, as Arrow record batches; made by :func:`open_table`.

    ``name`` is the source as given, ``paths`` are its absolute paths (none for a table in memory), ``arrow_schema`` is the common
    type of each column in the order of the first file, and ``categorical`` the columns that were stored as categories (they are
    read as their values).
    """

    def __init__(self, name: str, parts: Sequence[Part], paths: Sequence[str] = ()):
        self.name = name
        self.paths = tuple(str(Path(path).absolute()) for path in paths)
        self._parts = tuple(parts)
        self.arrow_schema = _unify(self._parts)
        self.column_names: tuple[str, ...] = tuple(self.arrow_schema.names)
        self.remarks: dict[str, str] = {name: words for part in reversed(self._parts) for name, words in part.remarks.items()}
        self.mismatches: dict[str, str] = {name: why for part in self._parts for name, why in part.mismatches.items()}
        self.warnings: tuple[tuple[str | None, str], ...] = tuple(warning for part in self._parts for warning in part.warnings)
        self.categorical = frozenset(f.name for part in parts for f in part.schema if pt.is_dictionary(f.type))

    def batches(self, columns: Sequence[str] | None = None, rows: int = 131_072) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Every row, in order: pairs of a location (for errors) and a batch of 1 to ``rows`` rows, columns as asked for.

        Raises :class:`InputError` when a file turns out to be damaged, or a value does not fit its column.

        >>> table = open_table(pa.table({"user": ["a", "b", "c"], "click": [0, 1, 0]}))
        >>> [(location, batch.to_pydict()) for location, batch in table.batches(["click"], rows=2)]
        [('Table (pyarrow), rows 0 to 1', {'click': [0, 1]}), ('Table (pyarrow), rows 2 to 2', {'click': [0]})]
        """
        names = list(self.column_names if columns is None else columns)
        self.require(names, "asked for")
        for part in self._parts:
            first = 0
            for batch in part.read(names, rows, None):
                if batch.num_rows:
                    location = f"{part.location}, rows {first} to {first + batch.num_rows - 1}"
                    yield location, self._normal(part, batch, names, location)
                first += batch.num_rows

    def sample(self, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """About ``rows`` rows (all of them, in a shorter table), spread over files and row groups from first to last.

        >>> open_table(pa.table({"a": range(1600)})).sample(16)["a"].to_pylist()[:3]
        [0, 100, 200]
        """
        names = list(self.column_names if columns is None else columns)
        units = [(part, unit) for part in self._parts for unit in range(part.units)]
        count = self.count()
        if count is not None and count <= rows:
            wanted, share = len(units), rows
        else:
            fewest = 16 if count is None else max(16, -(-rows * len(units) // count))
            wanted = min(fewest, len(units))
            share = -(-rows // max(wanted, 1))
        batches, taken = [], 0
        for part, unit in (units[i * (len(units) - 1) // max(wanted - 1, 1)] for i in range(wanted)):
            left = min(share, rows - taken)
            for batch in part.read(names, max(min(left, 131_072), 1), unit):
                if left <= 0:
                    break
                piece = batch.slice(0, left)
                left, taken = left - piece.num_rows, taken + piece.num_rows
                batches.append(self._normal(part, piece, names, part.location))
        return pa.Table.from_batches(batches, pa.schema([self.arrow_schema.field(name) for name in names]))

    def files(self) -> dict[str, int]:
        """The absolute paths of the files with their sizes in bytes; none for a table in memory."""
        paths = [Path(part.location).absolute() for part in self._parts] if self.paths else []
        return {str(path): path.stat().st_size for path in paths if path.is_file()}

    def without_files(self, paths: Collection[str]) -> Table:
        """The rows of all files but some, which are named by absolute paths. At least one file stays."""
        kept = [part for part in self._parts if str(Path(part.location).absolute()) not in paths]
        table = Table(self.name, kept, self.paths)
        table.arrow_schema, table.column_names = self.arrow_schema, self.column_names
        return table

    def pieces(self) -> list[Table]:
        """The rows of each file as a table of its own, in order. All have the columns and types of the whole table.

        >>> [piece.count() for piece in open_table(pa.table({"user": ["a", "b"]})).pieces()]
        [2]
        """
        tables = [Table(self.name, [part], self.paths) for part in self._parts]
        for table in tables:
            table.arrow_schema, table.column_names = self.arrow_schema, self.column_names
        return tables

    def count(self) -> int | None:
        """Rows, where that is cheap to know (Parquet, Arrow files, memory); else None."""
        counts = [part.rows for part in self._parts]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def is_csv(self) -> bool:
        """True where the rows come from CSV files."""
        return any(part.written for part in self._parts)

    def written(self, columns: Iterable[str] | None = None, text: bool = False) -> Table:
        """The same rows with the values of columns as they are stored, for copies; the table itself where nothing differs.

        Of CSV files 007, 1.10 and words for missing values are text, and whole numbers that have one form stay whole numbers.
        Decimals stay decimals, and bytes stay bytes (unless ``text``) where all files store them alike.
        """
        names = self.column_names if columns is None else columns
        stored = {name: {part.schema.field(name).type for part in self._parts} for name in names}
        single = {name: next(iter(kinds)) for name, kinds in stored.items() if len(kinds) == 1}
        exact = {name: kind for name, kind in single.items() if is_stored_exactly(kind, text)}
        if not exact and not self.is_csv:
            return self
        table = Table(self.name, [part.written or part for part in self._parts])
        table.arrow_schema = pa.schema([field.with_type(exact.get(field.name, field.type)) for field in table.arrow_schema])
        return table

    def warnings_of(self, columns: Iterable[str]) -> list[str]:
        """What a user must know before these columns are used."""
        used = {None, *columns}
        return [warning for column, warning in self.warnings if column in used]

    def missing(self, columns: Iterable[str], purpose: str) -> list[str]:
        """One problem for each column that the table lacks; ``purpose`` says what needs it."""
        absent = [c for c in dict.fromkeys(columns) if c not in self.column_names]
        shown = ", ".join(self.column_names[:20]) + (", ..." if len(self.column_names) > 20 else "")
        return [
            f"{self.name}: column {column!r} ({purpose}) is missing."
            f"{did_you_mean(column, self.column_names) or f' Columns: {shown}.'}"
            for column in absent
        ]

    def require(self, columns: Iterable[str], purpose: str) -> None:
        """Raise one :class:`InputError` that lists every missing column."""
        raise_all(self.missing(columns, purpose))

    def require_rows(self) -> None:
        """Raise an :class:`InputError` if no file has a row."""
        count = self.count()
        if count is None:
            count = next((1 for part in self._parts for b in part.read([self.column_names[0]], 1024, None) if b.num_rows), 0)
        if count == 0:
            raise InputError(f"{self.name}: the table has columns but no rows. Check what wrote it.")

    def _normal(self, part: Part, batch: pa.RecordBatch, names: Sequence[str], location: str) -> pa.RecordBatch:
        fields = [self.arrow_schema.field(name) for name in names]
        columns = []
        for field in fields:
            column = batch.column(field.name)
            try:
                column.validate(full=True)
                columns.append(cast(column, field.type, part.schema.field(field.name)))
            except pa.ArrowException as error:
                raise InputError(
                    f"{location}: column {field.name!r} ({column.type}) cannot be read as {field.type}: {error}. "
                    f"{_remedy(field.name, column.type)}."
                ) from None
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def open_table(source: Any, types: Mapping[str, pa.DataType] | None = None, csv: CsvConfig | None = None) -> Table:
    """Open a table; rows are read later, batch by batch. CSV files are read once to find their types.

    ``source``: a path to a file, folder (every data file in it, and the columns of folders named ``dt=2024-01-01``) or glob, or a
    list of those: Parquet, CSV, TSV, Arrow; a
    pyarrow Table, RecordBatch or RecordBatchReader; a dataframe of pandas, polars, DuckDB or any other that narwhals knows; or
    a :class:`Table`. ``types`` are those of training, in which columns of CSV files are read where their values allow it. ``csv``
    has the settings of CSV files; its ``types`` hold for every table.

    Raises one :class:`InputError` with every problem: missing, empty, damaged or unreadable files, files whose columns differ.

    >>> table = open_table(pa.table({"item": pa.array(["a", "b"]).dictionary_encode(), "click": [0, 1]}))
    >>> table.name, table.column_names, table.count(), table.arrow_schema.field("item").type
    ('Table (pyarrow)', ('item', 'click'), 2, DataType(string))
    """
    if isinstance(source, Table):
        return source
    csv = csv or CsvConfig()
    if isinstance(source, (str, os.PathLike)):
        source = [source]
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, os.PathLike)) for item in source):
        return _open_paths([os.fspath(item) for item in source], types or {}, csv)
    table = _open_frame(source)
    return Table(table.name, [with_kinds(part, csv.kinds) for part in table._parts])


def _open_frame(source: Any) -> Table:
    if isinstance(source, (pa.RecordBatch, pa.RecordBatchReader)):
        is_batch = isinstance(source, pa.RecordBatch)
        source = pa.Table.from_batches([source]) if is_batch else source.read_all()
    if isinstance(source, pa.Table):
        return Table("Table (pyarrow)", [_memory_part("Table (pyarrow)", source)])
    try:
        frame = nw.from_native(source)
    except TypeError:
        kind = f"{type(source).__module__}.{type(source).__qualname__}"
        raise InputError(f"a table cannot be read from {kind}. Give a path, a list of paths or a dataframe.") from None
    except ValueError as error:  # narwhals' DuplicateError
        raise InputError(f"the dataframe cannot be read: {error}. Rename its columns.") from None
    name = f"DataFrame ({frame.implementation.name.lower()})"
    return Table(name, [_memory_part(name, frame_to_arrow(frame, name))])


def _remedy(name: str, kind: pa.DataType) -> str:
    if pt.is_decimal(kind):
        return f"Write ids as text and amounts as float64, or leave the column out with {setting('ignore', name)}"
    return "Write it again, with the same type in every file"


def _memory_part(location: str, table: pa.Table) -> Part:
    step = max(-(-table.num_rows // 16), 1)
    raise_all(name_problems(location, table.schema.names))

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        chosen = table.select(columns)
        yield from (chosen if unit is None else chosen.slice(unit * step, step)).to_batches(max_chunksize=rows)

    return Part(location, table.schema, table.num_rows, -(-table.num_rows // step), read)


def _open_paths(paths: list[str], types: Mapping[str, pa.DataType], csv: CsvConfig) -> Table:
    each(refuse_parts, paths)
    listings = each(expand, paths)
    once = read_once([file for listing in listings for file in listing.files])
    files = once.files
    each(check_content, files)
    kinds = Counter(ending(file)[0] for file in files)
    if len(kinds) > 1:
        raise InputError(
            f"{', '.join(paths)}: files of several formats ({', '.join(f'{n} {k}' for k, n in sorted(kinds.items()))}). "
            "Name the files of one format, for example with a glob such as 'log/*.parquet'."
        )
    is_csv = "CSV" in kinds
    opened = open_csv_files(files, types, csv) if is_csv else each(lambda file: OPENERS[ending(file)[0]](file), files)
    asked = {name: kind for name, kind in csv.kinds.items() if not (is_csv and name in opened[0].schema.names)}
    parts = [with_kinds(part, asked) for part in with_folder_columns(opened, types)]
    warnings = tuple((None, warning) for listing in (*listings, once) for warning in listing.warnings)
    parts[0] = replace(parts[0], warnings=(*warnings, *parts[0].warnings))
    return Table(", ".join(paths) if len(paths) <= 3 else f"{paths[0]} and {len(paths) - 1} more", parts, paths)


def _unify(parts: Sequence[Part]) -> pa.Schema:
    """The common type of each column, or one error with every difference between the files."""
    first, problems = parts[0], []
    common = {field.name: normal_field(field) for field in first.schema}
    for part in parts[1:]:
        names = part.schema.names
        extra = [name for name in names if name not in common]
        for name in common:
            if name not in names:
                problems.append(f"{part.location}: column {name!r} of {first.location} is missing.{did_you_mean(name, extra)}")
                continue
            kind = normal_field(part.schema.field(name))
            both = common_type(common[name], kind)
            if both is None:
                problems.append(
                    f"{part.location}: column {name!r} is {kind}, in {first.location} it is {common[name]}. Write one type."
                )
            else:
                common[name] = both
        problems += [f"{part.location}: column {name!r} is not in {first.location}. Drop it, or add it there." for name in extra]
    raise_all(problems)
    return pa.schema(common.items())
