"""Reads columns of tables that have types in the kinds that a user asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.types as pt

from manygate.config.csv_settings import ColumnKind
from manygate.data.formats.csv_types import ASKED
from manygate.data.formats.readers import Part
from manygate.data.types import cast, normal_type
from manygate.errors import InputError, setting


def with_kinds(part: Part, kinds: Mapping[str, ColumnKind]) -> Part:
    """The part with some columns in the kinds that are asked for; columns that it lacks are left out."""
    asked = {name: kind for name, kind in kinds.items() if name in part.schema.names}
    if not asked:
        return part

    def read(columns: list[str], rows: int, unit: int | None) -> Iterator[pa.RecordBatch]:
        for batch in part.read(columns, rows, unit):
            arrays = [
                _converted(part.location, name, batch.column(name), asked[name]) if name in asked else batch.column(name)
                for name in columns
            ]
            yield pa.RecordBatch.from_arrays(arrays, columns)

    fields = [field.with_type(_kind(asked[field.name])) if field.name in asked else field for field in part.schema]
    return replace(part, schema=pa.schema(fields), read=read)


def _kind(kind: ColumnKind) -> pa.DataType:
    wording = ASKED[kind]
    return pa.string() if wording is None else wording.kind


def _converted(location: str, name: str, values: pa.Array, kind: ColumnKind) -> pa.Array:
    wording, target = ASKED[kind], _kind(kind)
    try:
        plain = cast(values, normal_type(values.type))
        return wording.read(plain) if wording is not None and pt.is_string(plain.type) else plain.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{location}: column {name!r} ({values.type}) cannot be read as {kind}: {' '.join(str(error).split())}. "
            f"Mend the values, or ask for another kind with {setting('types')}."
        ) from None
