"""Labelled rows for a trained model: a log that is given, or the validation rows of the run's own log, which must be unchanged."""

from __future__ import annotations

from typing import Any, Literal, final

import pyarrow as pa
import pyarrow.types as pt

from manygate.config import CsvConfig, DataConfig
from manygate.data.encode import Encoder
from manygate.data.encoded import check_columns, log_batches, part_columns
from manygate.data.fingerprint import TableFingerprint
from manygate.data.sources import open_sources
from manygate.data.table import Table, open_table
from manygate.errors import InputError
from manygate.results.log_record import LogRecord
from manygate.schema import Schema

Part = Literal["train", "valid", "test"]


def labelled_table(encoder: Encoder, log: Any, part: Part = "test", csv: CsvConfig | None = None) -> Table:
    """A labelled log; of a data set with several parts, the part that is asked for. ``csv`` says how CSV files are read."""
    sources = open_sources(log, DataConfig.of_csv(csv), types=types_to_read(encoder))
    table: Table | None = getattr(sources, part)
    if table is None and sources.folder is not None:
        raise InputError(f"{log}: a data set without a {part} part. Name a file of labelled rows instead.")
    return table if table is not None and sources.folder is not None else sources.train


def types_to_read(encoder: Encoder) -> dict[str, pa.DataType]:
    """The types of training in which CSV files of labelled rows are read. Labels that are 0 and 1, or true and false, are free."""
    free = {name for name in encoder.schema.label_columns if not pt.is_string(encoder.types[name])}
    return {name: kind for name, kind in encoder.types.items() if name not in free}


def check_labelled(encoder: Encoder, table: Table) -> tuple[str, ...]:
    """Check that a table can be evaluated, and return the columns to read."""
    columns = encoder.schema.evaluated_columns
    table.require(columns, "needed to evaluate")
    table.require_rows()
    encoder.check(table.arrow_schema, table.name, columns, table.mismatches)
    return columns


@final
class RunTables:
    """Recognises a table that a run was trained on, while its rows are read for another use."""

    def __init__(self, record: LogRecord | None, table: Table):
        rows = table.count()
        self._tables = [known for known in (record.tables if record else []) if rows is None or rows == known.rows]
        self._table, self._fingerprint = table, TableFingerprint()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the next rows of the table. This costs nothing if the number of rows already rules out every table of the run."""
        if self._tables:
            self._fingerprint.add(batch)

    def part(self) -> str | None:
        """The part of the run's log that the table is, after every row was added; None for another table."""
        if not self._tables:
            return None
        now = self._fingerprint.record("", self._table)
        return next((known.part for known in self._tables if known.same_rows(now)), None)


def run_part(record: LogRecord | None, encoder: Encoder, table: Table) -> str | None:
    """The part of the run's log that a labelled table is, from one pass over its columns; None for another table."""
    tables = RunTables(record, table)
    for _, batch in table.batches(check_labelled(encoder, table)):
        tables.add(batch)
    return tables.part()


def run_rows(config: DataConfig, log: Any, schema: Schema, record: LogRecord, part: Literal["valid", "test"] = "valid") -> Table:
    """The validation or test rows of a run's own log, divided as they were for training; bias features may be absent.

    Raises :class:`InputError` if the log is not the one in ``record``: other rows could hold rows that trained the model.
    """
    sources, columns = open_sources(log, config), part_columns(schema, part)
    check_columns(sources, schema)
    fingerprint, batches = TableFingerprint(), []
    own: Table | None = getattr(sources, part)
    if own is not None:
        for _, batch in own.batches(columns):
            fingerprint.add(batch)
            batches.append(batch)
        now = fingerprint.record(part, own)
    else:

        def observe(of: str, batch: pa.RecordBatch) -> None:
            if of == "train":
                fingerprint.add(batch)

        for of, _, batch in log_batches(sources, schema, config, observe):
            if of == part:
                batches.append(batch.select(columns))
        now = fingerprint.record("train", sources.train)
    differences = LogRecord.of([table for table in record.tables if table.part == now.part]).differences(LogRecord.of([now]))
    if differences:
        raise InputError(
            [f"{text}. This is not the log that the model was trained on, as it was then." for text in differences]
            + ["Rows of other data may have trained the model. Restore the log, or name labelled rows that trained nothing."]
        )
    word = {"valid": "validation", "test": "test"}[part]
    if not batches:
        raise InputError(f"{log}: there are no {word} rows. Name labelled rows that trained nothing.")
    table = open_table(pa.Table.from_batches(batches))
    table.name = f"{word} rows of {sources.name}"
    return table
