"""Streams scores to a Parquet, CSV or Arrow file. The file is written completely or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from manygate.data.rows import Rows
from manygate.data.table import Table
from manygate.errors import InputError, setting
from manygate.files import check_not_read, check_regular, writing
from manygate.scoring.csv_writer import CsvWriter

ENDINGS = (".parquet", ".csv", ".arrow")


class ScoreFile(NamedTuple):
    """A file of scores: its rows, and the fields of text that a spreadsheet takes for formulas."""

    rows: int
    formulas: int = 0


class Scorer(Protocol):
    """Scores the rows of a table: a predictor, or an exported model."""

    @property
    def output_names(self) -> list[str]:
        """The names of the predictions."""

    def open(self, source: Any) -> Table:
        """Open a table to score."""

    def score(
        self, table: Table, keep: Sequence[str] = (), observe: Callable[[pa.RecordBatch, Rows], None] | None = None
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield (location in the source, predictions) for each batch."""


def write_scores(
    predictor: Scorer,
    log: Any,
    out: Path,
    keep: Sequence[str] = (),
    overwrite: bool = False,
    neutralise_formulas: bool = False,
    observe: Callable[[pa.RecordBatch, Rows], None] | None = None,
) -> ScoreFile:
    """Score a log into the file ``out``. ``keep`` names columns of the log to copy.

    Values are copied as they are stored: of a CSV log ``00014``, ``1.10`` and words for missing values as text; else decimals as
    decimals, and bytes as bytes. In CSV ``neutralise_formulas`` puts an apostrophe before text that a spreadsheet would run as a
    formula. ``observe`` is called with each batch, as :meth:`Predictor.score` does.
    """
    if out.suffix not in ENDINGS:
        raise InputError(f"{setting('out', out)}: unknown kind of file. Choose a name that ends in {', '.join(ENDINGS)}.")
    with writing(out):
        exists = out.exists()
    if out.is_dir():
        raise InputError(f"{setting('out', out)}: a folder of this name exists. Choose another.")
    if exists and not overwrite:
        raise InputError(f"{setting('out', out)} exists. Choose another, or add {setting('overwrite', True)}.")
    taken = [name for name in keep if name in predictor.output_names]
    if taken:
        raise InputError(
            f"{setting('keep', taken[0])}: a task or the score has this name already. Rename the column, or do not keep it."
        )
    twice = [name for name in dict.fromkeys(keep) if list(keep).count(name) > 1]
    if twice:
        raise InputError(f"{setting('keep', twice[0])}: this column is named twice. Name it once.")
    table = predictor.open(log)
    table.require_rows()
    table.require(keep, "to keep")
    check_not_read(out, table.paths)
    if exists:
        check_regular(out, "overwritten")
    lists = [name for name in keep if pa.types.is_nested(table.arrow_schema.field(name).type)]
    if lists and out.suffix == ".csv":
        raise InputError(
            f"{setting('keep', lists[0])}: a column of lists has no form in CSV. Write .parquet or .arrow, or do not keep it."
        )
    temporary = out.with_name(f".{out.name}.tmp")
    with writing(out, temporary):
        out.parent.mkdir(parents=True, exist_ok=True)
        batches = _with_kept(predictor, table, keep, out.suffix == ".csv", observe)
        written = _stream(temporary, out.suffix, batches, neutralise_formulas)
        temporary.replace(out)
    return written


def _with_kept(
    predictor: Scorer,
    table: Table,
    keep: Sequence[str],
    text: bool,
    observe: Callable[[pa.RecordBatch, Rows], None] | None,
) -> Iterator[pa.RecordBatch]:
    """The predictions with the columns to keep before them; bytes as ``text`` where the file holds text alone."""
    written = table.written(keep, text)
    if written is table or not keep:
        yield from (batch for _, batch in predictor.score(table, keep, observe))
        return
    kept = (batch for _, batch in written.batches(list(dict.fromkeys(keep))))
    for _, scores in predictor.score(table, observe=observe):
        beside = next(kept, None)
        if beside is None or beside.num_rows != scores.num_rows:
            raise InputError(f"{table.name}: the file changed while it was read. Try again.")
        columns = {name: beside.column(name) for name in keep}
        yield pa.record_batch(columns | {name: scores.column(name) for name in scores.schema.names})


def _stream(path: Path, ending: str, batches: Any, neutralise: bool) -> ScoreFile:
    rows, writer = 0, None
    try:
        for batch in batches:
            writer = writer or _open_writer(path, ending, batch.schema, neutralise)
            writer.write_batch(batch)
            rows += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    return ScoreFile(rows, writer.formulas if isinstance(writer, CsvWriter) else 0)


def _open_writer(path: Path, ending: str, schema: pa.Schema, neutralise: bool) -> Any:
    if ending == ".parquet":
        return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
    return CsvWriter(path, schema, neutralise) if ending == ".csv" else pa.ipc.new_file(path, schema)
