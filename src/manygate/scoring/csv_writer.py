"""Writes CSV with quotes only where they are needed, so that values stand as they were read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.data.formats.words import NUMBER_OF_ARROW

ROWS = 16_384
_SPECIAL = r'[",\r\n]|^$|^\s|\s$'
"""A field of text with these is quoted; the empty text too, since a field of nothing stands for a missing value."""


_FORMULA = r"^[=+\-@\t\r]."
"""The beginning of a text that spreadsheets run. Numbers are none."""


class CsvWriter:
    """A writer of record batches; nulls become empty fields, the empty text becomes ``""``.

    ``formulas`` counts the fields that a spreadsheet takes for formulas; ``neutralise`` puts an apostrophe before them.
    """

    def __init__(self, path: Path, schema: pa.Schema, neutralise: bool = False):
        self._neutralise, self.formulas = neutralise, 0
        self._sink = path.open("wb")
        self._write_lines([pa.array([name]) for name in schema.names])

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Write the rows of a batch."""
        for start in range(0, batch.num_rows, ROWS):
            self._write_lines(batch.slice(start, ROWS).columns)

    def _write_lines(self, columns: Sequence[pa.Array]) -> None:
        fields = [self._without_formulas(column) if pt.is_string(column.type) else column for column in columns]
        self._sink.write(_lines(fields))

    def _without_formulas(self, text: pa.Array) -> pa.Array:
        """Text in which a spreadsheet finds no formula, if that is asked for; else they are counted."""
        formulas = pc.and_(pc.match_substring_regex(text, _FORMULA), pc.invert(pc.match_substring_regex(text, NUMBER_OF_ARROW)))
        count = pc.sum(formulas).as_py() or 0
        self.formulas += count
        if not count or not self._neutralise:
            return text
        return pc.if_else(formulas, pc.binary_join_element_wise("'", text, ""), text)

    def close(self) -> None:
        """Close the file."""
        self._sink.close()


def _lines(columns: Sequence[pa.Array]) -> bytes:
    lines: pa.Array = pc.binary_join_element_wise(*map(_fields, columns), ",")
    if len(columns) == 1:
        lines = pc.replace_substring_regex(lines, "^$", '""')  # an empty line is no row
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines), "\n")
    return f"{joined[0].as_py()}\n".encode()


def _fields(values: pa.Array) -> pa.Array:
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    if not pt.is_string(values.type) and not pt.is_large_string(values.type):
        return pc.fill_null(values.cast(pa.string()), "")
    special = pc.match_substring_regex(values, _SPECIAL)
    if pc.any(special).as_py():
        inner = pc.replace_substring(values, '"', '""')
        quoted = pc.binary_join_element_wise(
            pa.scalar('"', values.type), inner, pa.scalar('"', values.type), pa.scalar("", values.type)
        )
        values = pc.if_else(special, quoted, values)
    return pc.fill_null(values, "")
