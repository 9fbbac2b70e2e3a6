"""Reads the columns that folders are named after, as Hive, Spark, pandas and DuckDB write them: ``dt=2024-01-01/part.parquet``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.types as pt

from manygate.data.formats.readers import Part
from manygate.errors import InputError, raise_all

NULL_VALUES = ("__HIVE_DEFAULT_PARTITION__", "")
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?")


def folder_values(file: str) -> dict[str, str | None]:
    """The columns that the folders above a file are named after, with their values as text; None is null.

    >>> folder_values("/log/dt=2024-01-01/city=Z%C3%BCrich/part.parquet")
    {'dt': '2024-01-01', 'city': 'Zürich'}
    """
    pairs = (name.split("=", 1) for name in Path(file).absolute().parent.parts if "=" in name.lstrip("="))
    values = {unquote(key): unquote(value) for key, value in pairs}
    return {key: None if value in NULL_VALUES else value for key, value in values.items()}


def with_folder_columns(parts: Sequence[Part], types: Mapping[str, pa.DataType]) -> list[Part]:
    """The parts with the columns of their folders. The column of a file stays where a folder has the same name.

    Each column has one type in all parts: whole numbers where every value is one (``07`` is none), dates, times, else text.
    """
    values = [folder_values(part.location) for part in parts]
    names = list(dict.fromkeys(name for row in values for name in row))
    stored = {name for name in names if any(name in part.schema.names for part in parts)}
    warnings = tuple(
        (
            name,
            f"column {name!r} is in the files and in the names of their folders ({parts[0].location}); that of the files is read.",
        )
        for name in names
        if name in stored
    )
    added = [name for name in names if name not in stored]
    raise_all(
        f"{part.location}: no folder above it is named {name}=..., as those of other files are. Move it, or read it alone."
        for part, row in zip(parts, values, strict=True)
        for name in added
        if name not in row
    )
    columns = {name: _typed([row[name] for row in values], name, types.get(name)) for name in added}
    scalars = [{name: column[k] for name, column in columns.items()} for k in range(len(parts))]
    read = [_with_columns(part, row) if row else part for part, row in zip(parts, scalars, strict=True)]
    return [replace(read[0], warnings=(*read[0].warnings, *warnings)), *read[1:]]


def _typed(texts: Sequence[str | None], name: str, wanted: pa.DataType | None) -> pa.Array:
    """The values of one column, in the plainest type that holds all of them; ``wanted`` text stays text."""
    known = [text for text in texts if text is not None]
    if wanted is not None and pt.is_string(wanted):
        return pa.array(texts, pa.string())
    if known and all(_WHOLE.fullmatch(text) for text in known):
        return pa.array([None if text is None else int(text) for text in texts], pa.int64())
    for pattern, parse, kind in ((_DATE, date.fromisoformat, pa.date32()), (_TIME, datetime.fromisoformat, pa.timestamp("us"))):
        if known and all(pattern.fullmatch(text) for text in known):
            try:
                return pa.array([None if text is None else parse(text) for text in texts], kind)
            except ValueError as error:
                raise InputError(f"the folder {name}=... has no date or time in its name: {error}. Rename it.") from None
    return pa.array(texts, pa.string())


def _with_columns(part: Part, added: Mapping[str, pa.Scalar]) -> Part:
    stored = part.schema.names

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        of_file = [name for name in columns if name in stored]
        for batch in part.read(of_file or stored[:1], rows, unit):
            arrays: list[Any] = [
                batch.column(name) if name in stored else pa.repeat(added[name], batch.num_rows) for name in columns
            ]
            yield pa.RecordBatch.from_arrays(arrays, names=columns)

    schema = part.schema
    for name, value in added.items():
        schema = schema.append(pa.field(name, value.type))
    written = None if part.written is None else _with_columns(part.written, added)
    return replace(part, schema=schema, read=read, written=written)
