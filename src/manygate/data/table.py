"""Any table -> Arrow record batches: Parquet, CSV, Arrow files, folders of them, and every dataframe that narwhals knows."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, final

import narwhals.stable.v2 as nw
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pyarrow.types as pt

from manygate.errors import InputError, did_you_mean, raise_all

T = TypeVar("T")
# Ending -> (format, what the first bytes must say; None is plain text).
_ENDINGS: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys((".parquet", ".pq"), ("Parquet", "Parquet")),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), ("Arrow", "Arrow")),
    **{f"{kind}{ending}": ("CSV", packed) for kind in (".csv", ".tsv") for ending, packed in
       (("", None), (".gz", "gzip"), (".bz2", "bzip2"), (".zst", "Zstandard"))},
}  # fmt: skip
_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"\xff\xff\xff\xff": "Arrow",  # the streaming form
    b"FEA1": "Feather version 1",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "zip or Excel",
    b"\x89HDF": "HDF5",
    b"\x80\x04": "pickle",
    b"\x80\x05": "pickle",
}
_KNOWN = "Data files end in .parquet, .csv, .tsv (also .gz, .bz2, .zst), .arrow, .feather or .ipc"
_DAMAGED = "The file is damaged or still being written: write or copy it again"
_OF_A_RUN = ("model.safetensors", "bundle/manifest.json", "metrics.jsonl", "comparison.json")
_CSV_BLOCK = 1 << 24


@dataclass(frozen=True)
class _Part:
    """One file or one table in memory. ``read(columns, rows, unit)`` yields batches as stored; None is every unit."""

    place: str
    schema: pa.Schema
    rows: int | None
    units: int
    read: Callable[[list[str], int, int | None], Iterator[pa.RecordBatch]]


@final
class Table:
    """Rows from any source, as Arrow record batches; made by :func:`open_table`.

    ``name`` is the source as given, ``arrow_schema`` the common type of each column in the order of the first file, and
    ``categorical`` the columns that were stored as categories (they are read as their values).
    """

    def __init__(self, name: str, parts: Sequence[_Part]):
        self.name = name
        self._parts = tuple(parts)
        self.arrow_schema = _unify(self._parts)
        self.column_names: tuple[str, ...] = tuple(self.arrow_schema.names)
        self.categorical = frozenset(f.name for part in parts for f in part.schema if pt.is_dictionary(f.type))

    def batches(self, columns: Sequence[str] | None = None, rows: int = 131_072) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Every row, in order: pairs of a place (for errors) and a batch of 1 to ``rows`` rows, columns as asked for.

        Raises :class:`InputError` when a file turns out to be damaged, or a value does not fit its column.

        >>> table = open_table(pa.table({"user": ["a", "b", "c"], "click": [0, 1, 0]}))
        >>> [(place, batch.to_pydict()) for place, batch in table.batches(["click"], rows=2)]
        [('Table (pyarrow), rows 0 to 1', {'click': [0, 1]}), ('Table (pyarrow), rows 2 to 2', {'click': [0]})]
        """
        names = list(self.column_names if columns is None else columns)
        self.require(names, "asked for")
        for part in self._parts:
            first = 0
            for batch in part.read(names, rows, None):
                if batch.num_rows:
                    place = f"{part.place}, rows {first} to {first + batch.num_rows - 1}"
                    yield place, self._normal(batch, names, place)
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
        batches, found = [], 0
        for part, unit in (units[i * (len(units) - 1) // max(wanted - 1, 1)] for i in range(wanted)):
            left = min(share, rows - found)
            for batch in part.read(names, max(min(left, 131_072), 1), unit):
                if left <= 0:
                    break
                piece = batch.slice(0, left)
                left, found = left - piece.num_rows, found + piece.num_rows
                batches.append(self._normal(piece, names, part.place))
        return pa.Table.from_batches(batches, pa.schema([self.arrow_schema.field(name) for name in names]))

    def count(self) -> int | None:
        """Rows, where that is cheap to know (Parquet, Arrow files, memory); else None."""
        counts = [part.rows for part in self._parts]
        return None if None in counts else sum(count for count in counts if count is not None)

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

    def _normal(self, batch: pa.RecordBatch, names: Sequence[str], place: str) -> pa.RecordBatch:
        fields = [self.arrow_schema.field(name) for name in names]
        columns = []
        for field in fields:
            column = batch.column(field.name)
            try:
                column.validate(full=True)
                columns.append(_cast(column, field.type))
            except pa.ArrowException as error:
                raise InputError(
                    f"{place}: column {field.name!r} ({column.type}) cannot be read as {field.type}: {error}. "
                    "Write it again, with the same type in every file."
                ) from None
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def open_table(source: Any, types: Mapping[str, pa.DataType] | None = None) -> Table:
    """Open a table; rows are read later, batch by batch.

    ``source``: a path to a file, folder (every data file in it) or glob, or a list of those: Parquet, CSV, TSV, Arrow; a
    pyarrow Table, RecordBatch or RecordBatchReader; a dataframe of pandas, polars, DuckDB or any other that narwhals knows; or
    a :class:`Table`. ``types`` fixes the types of CSV columns, which are else taken from the first 16 MB of each file.

    Raises one :class:`InputError` with every problem: missing, empty, damaged or unreadable files, files whose columns differ.

    >>> table = open_table(pa.table({"item": pa.array(["a", "b"]).dictionary_encode(), "click": [0, 1]}))
    >>> table.name, table.column_names, table.count(), table.arrow_schema.field("item").type
    ('Table (pyarrow)', ('item', 'click'), 2, DataType(string))
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _open_paths([os.fspath(source)], types or {})
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, os.PathLike)) for item in source):
        return _open_paths([os.fspath(item) for item in source], types or {})
    return _open_frame(source)


def _open_frame(source: Any) -> Table:
    if isinstance(source, (pa.RecordBatch, pa.RecordBatchReader)):
        is_batch = isinstance(source, pa.RecordBatch)
        source = pa.Table.from_batches([source]) if is_batch else source.read_all()
    if isinstance(source, pa.Table):
        return Table("Table (pyarrow)", [_memory_part("Table (pyarrow)", source)])
    try:
        frame = nw.from_native(source)
    except TypeError:
        found = f"{type(source).__module__}.{type(source).__qualname__}"
        raise InputError(f"a table cannot be read from {found}. Give a path, a list of paths or a dataframe.") from None
    except ValueError as error:  # narwhals' DuplicateError
        raise InputError(f"the dataframe cannot be read: {error}. Rename its columns.") from None
    name = f"DataFrame ({frame.implementation.name.lower()})"
    try:
        table = frame.to_arrow() if isinstance(frame, nw.DataFrame) else frame.collect(backend="pyarrow").to_native()
    except pa.ArrowException as error:
        why = " ".join(str(argument) for argument in error.args)
        raise InputError(f"{name}: {why}. Give each column values of one type.") from None
    width = table.num_columns if isinstance(frame, nw.LazyFrame) else len(frame.columns)
    return Table(name, [_memory_part(name, table.select(range(width)))])  # without the index of pandas


def _memory_part(place: str, table: pa.Table) -> _Part:
    step = max(-(-table.num_rows // 16), 1)
    raise_all(_name_problems(place, table.schema.names))

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        chosen = table.select(columns)
        yield from (chosen if unit is None else chosen.slice(unit * step, step)).to_batches(max_chunksize=rows)

    return _Part(place, table.schema, table.num_rows, -(-table.num_rows // step), read)


def _open_paths(paths: list[str], types: Mapping[str, pa.DataType]) -> Table:
    files = list(dict.fromkeys(file for found in _each(_expand, paths) for file in found))
    _each(_check, files)
    kinds = Counter(_ending(file)[0] for file in files)
    if len(kinds) > 1:
        raise InputError(
            f"{', '.join(paths)}: files of several formats ({', '.join(f'{n} {k}' for k, n in sorted(kinds.items()))}). "
            "Name the files of one format, for example with a glob such as 'log/*.parquet'."
        )
    parts = _each(lambda file: _OPENERS[_ending(file)[0]](file, types), files)
    return Table(", ".join(paths) if len(paths) <= 3 else f"{paths[0]} and {len(paths) - 1} more", parts)


def _each(action: Callable[[str], T], paths: Iterable[str]) -> list[T]:
    """Do all, then raise all the problems at once."""
    done: list[T] = []
    problems: list[str] = []
    for path in paths:
        try:
            done.append(action(path))
        except InputError as error:
            problems += error.problems
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}. Check that you may read it (chmod, mount).")
    raise_all(problems)
    return done


def _ending(file: str) -> tuple[str, str | None]:
    name = Path(file).name.lower()
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), ("", None))


def _expand(path: str) -> list[str]:
    """The data files of a file, folder or glob."""
    if not path:
        raise InputError("the path of the log is empty. Give a file, a folder or a glob.")
    if Path(path).is_dir():
        if any((Path(path) / name).is_file() for name in _OF_A_RUN):
            raise InputError(f"{path}: a run's folder or a bundle, not a log. Give the data that it was trained on, or other data.")
        files = [str(p) for p in _walk(Path(path)) if _ending(str(p))[0]]
        if not files:
            raise InputError(f"{path}: the folder holds no data file. {_KNOWN}; hidden files and _files are skipped.")
        return sorted(files)
    if Path(path).exists():
        if not _ending(path)[0]:
            raise InputError(f"{path}: the name does not say what the file is. {_KNOWN}; rename it.")
        return [path]
    if has_magic(path):
        matches = sorted(glob(path, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
        found = [match for match in matches if not Path(match).name.startswith("_")]
        files = [f for m in found for f in (_expand(m) if Path(m).is_dir() else [m] if _ending(m)[0] else [])]
        if not files:
            raise InputError(f"{path}: no data file matches. {_KNOWN}.")
        return list(dict.fromkeys(files))
    if Path(path).is_symlink():
        raise InputError(f"{path}: a symbolic link that leads nowhere. Mend it, or name the file itself.")
    parent = Path(path).parent
    if not parent.is_dir():
        raise InputError(f"{path}: does not exist, nor does its folder {str(parent)!r}. Working folder: {Path.cwd()}.")
    hint = did_you_mean(Path(path).name, sorted(entry.name for entry in parent.iterdir())) or f" Look in {str(parent)!r}."
    raise InputError(f"{path}: does not exist.{hint}")


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if not entry.name.startswith((".", "_")):
            yield from _walk(entry) if entry.is_dir() and not entry.is_symlink() else [entry]


def _check(path: str) -> None:
    """Compare the first bytes with the ending."""
    file_format, wanted = _ending(path)
    with Path(path).open("rb") as file:
        head = file.read(8)
        if not head:
            raise InputError(f"{path}: the file is empty (zero bytes). Write it again, or remove it.")
        file.seek(-min(file.seek(0, os.SEEK_END), 6), os.SEEK_END)
        tail = file.read()
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    if found != wanted:
        looks = f"looks like {found}" if found else f"starts with {head!r}"
        named = f" ({wanted})" if wanted and wanted != file_format else ""
        raise InputError(f"{path}: not a {file_format} file{named}: it {looks}. Rename it after its format, or convert it.")
    if (found == "Parquet" and not tail.endswith(b"PAR1")) or (head.startswith(b"ARROW1") and tail != b"ARROW1"):
        raise InputError(f"{path}: the {file_format} file is truncated: its end is missing. {_DAMAGED}.")


@contextmanager
def _reading(place: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{place}: cannot be read: {' '.join(str(error).split())}. {_DAMAGED}.") from None


def _name_problems(place: str, names: list[str]) -> list[str]:
    twice = [name for name, times in Counter(names).items() if times > 1]
    problems = [f"{place}: column {name!r} is there twice. Rename or drop one." for name in twice]
    return problems if names else [f"{place}: the table has no columns."]


def _open_parquet(path: str, types: Mapping[str, pa.DataType]) -> _Part:
    def open_file() -> pq.ParquetFile:
        return pq.ParquetFile(path, page_checksum_verification=True)

    with _reading(path), open_file() as file:
        schema, metadata = file.schema_arrow, file.metadata
    raise_all(_name_problems(path, schema.names))

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        with _reading(path), open_file() as file:
            for group in range(file.num_row_groups) if unit is None else [unit]:
                with _reading(f"{path}, row group {group}"):
                    yield from file.iter_batches(rows, row_groups=[group], columns=columns)

    return _Part(path, schema, metadata.num_rows, metadata.num_row_groups, read)


def _open_arrow(path: str, types: Mapping[str, pa.DataType]) -> _Part:
    with Path(path).open("rb") as head:
        is_file = head.read(6) == b"ARROW1"
    open_ipc = ipc.open_file if is_file else ipc.open_stream
    with _reading(path), pa.memory_map(path) as source, open_ipc(source) as reader:
        schema = reader.schema
        rows, units = (reader.count_rows(), reader.num_record_batches) if is_file else (None, 1)
    raise_all(_name_problems(path, schema.names))

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        options = ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in columns])
        with _reading(path), pa.memory_map(path) as source, open_ipc(source, options=options) as reader:
            indices = range(reader.num_record_batches if unit is None else 1) if is_file else [0]
            for index in indices:
                with _reading(f"{path}, record batch {index if unit is None else unit}"):
                    whole = [reader.get_batch(index if unit is None else unit)] if is_file else reader
                    for batch in whole:
                        yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))

    return _Part(path, schema, rows, units, read)


def _convert(**options: Any) -> pc_csv.ConvertOptions:
    """Only an empty field is null: "NA", "null" and "?" are values of a text column."""
    return pc_csv.ConvertOptions(null_values=[""], strings_can_be_null=True, **options)


def _open_csv(path: str, types: Mapping[str, pa.DataType]) -> _Part:
    def stream(kinds: Mapping[str, pa.DataType] | None, columns: list[str] | None = None) -> pc_csv.CSVStreamingReader:
        return pc_csv.open_csv(
            path,
            pc_csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),  # errors then tell the line, at the same speed
            pc_csv.ParseOptions(delimiter="\t" if ".tsv" in Path(path).name.lower() else ",", newlines_in_values=True),
            _convert(column_types=kinds, include_columns=columns),
        )

    with _reading(path), stream(None) as reader:
        schema = reader.schema
    raise_all(_name_problems(path, schema.names))
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

    return _Part(path, pa.schema(kinds.items()), None, 1, read)


def _late_types(path: str, names: list[str], stream: Callable[..., Any]) -> dict[str, pa.DataType]:
    """Types of CSV columns that are empty in the first block (16 MB), from the first of 64 blocks where they are not."""
    found: dict[str, pa.DataType] = {}
    if names:
        with _reading(path), stream(dict.fromkeys(names, pa.string()), names) as reader:
            for batch in islice(reader, 64):
                for name in names:
                    values = batch.column(name).drop_null()
                    if name not in found and len(values):
                        text = b"\n".join(b'"%s"' % v.encode().replace(b'"', b'""') for v in ["x", *values.to_pylist()])
                        lines = pc_csv.ParseOptions(newlines_in_values=True)
                        found[name] = pc_csv.read_csv(pa.BufferReader(text), None, lines, _convert()).schema.types[0]
                if len(found) == len(names):
                    break
    return found


def _csv_problem(path: str, error: str, kinds: Mapping[str, pa.DataType]) -> str:
    """An error of pyarrow's reader, with the names of line and column and with a remedy."""
    line, column = re.search(r"Row #(\d+)", error), re.search(r"CSV column #(\d+)", error)
    place = f"{path}, line {line[1]}" if line else path
    value = re.search(r"invalid value '(.*)'", error, re.DOTALL)
    if column is None or value is None:
        return f"{place}: cannot be read: {error}. Mend the line, or write the file again (as Parquet, best)."
    name, kind = list(kinds.items())[int(column[1])]
    return (
        f"{place}: column {name!r} holds {value[1]!r}, where the rows before hold {kind}. Mend the value, write the log as "
        f"Parquet, or fix the type: open_table(..., types={{{name!r}: pa.string()}})."
    )


_OPENERS: dict[str, Callable[[str, Mapping[str, pa.DataType]], _Part]] = {
    "Parquet": _open_parquet,
    "Arrow": _open_arrow,
    "CSV": _open_csv,
}


def _unify(parts: Sequence[_Part]) -> pa.Schema:
    """The common type of each column, or one error with every difference between the files."""
    first, problems = parts[0], []
    common = {field.name: _normal_type(field.type) for field in first.schema}
    for part in parts[1:]:
        names = part.schema.names
        extra = [name for name in names if name not in common]
        for name in common:
            if name not in names:
                problems.append(f"{part.place}: column {name!r} of {first.place} is missing.{did_you_mean(name, extra)}")
                continue
            kind = _normal_type(part.schema.field(name).type)
            both = _common_type(common[name], kind)
            if both is None:
                problems.append(f"{part.place}: column {name!r} is {kind}, in {first.place} it is {common[name]}. Write one type.")
            else:
                common[name] = both
        problems += [f"{part.place}: column {name!r} is not in {first.place}. Drop it, or add it there." for name in extra]
    raise_all(problems)
    return pa.schema(common.items())


def _normal_type(kind: pa.DataType) -> pa.DataType:
    """The one type that stands for all encodings of the same values."""
    if isinstance(kind, pa.BaseExtensionType):
        return _normal_type(kind.storage_type)
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        return _normal_type(kind.value_type)
    if pt.is_large_string(kind) or pt.is_string_view(kind):
        return pa.string()
    if pt.is_large_binary(kind) or pt.is_binary_view(kind):
        return pa.binary()
    if any(test(kind) for test in (pt.is_list, pt.is_large_list, pt.is_fixed_size_list, pt.is_list_view, pt.is_large_list_view)):
        return pa.list_(_normal_type(kind.value_type))
    if pt.is_decimal(kind):
        return pa.float64() if kind.scale > 0 else pa.int64()
    return {pa.float16(): pa.float32(), pa.date64(): pa.date32()}.get(kind, kind)


def _common_type(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    if one == two or pt.is_null(two):
        return one
    if pt.is_null(one):
        return two
    if pt.is_integer(one) and pt.is_integer(two):
        return pa.uint64() if pa.uint64() in (one, two) else pa.int64()
    if all(pt.is_integer(kind) or pt.is_floating(kind) for kind in (one, two)):
        return pa.float64()
    if pt.is_list(one) and pt.is_list(two):
        inner = _common_type(one.value_type, two.value_type)
        return None if inner is None else pa.list_(inner)
    if pt.is_timestamp(one) and pt.is_timestamp(two) and one.tz == two.tz:
        return max(one, two, key=lambda kind: ("s", "ms", "us", "ns").index(kind.unit))
    return None


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pt.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return column if column.type == kind else column.cast(kind)
