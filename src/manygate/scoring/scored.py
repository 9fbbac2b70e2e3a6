"""Scores every row of a labelled log, batch by batch: only logits, labels, weights and groups stay in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from manygate.data.column import as_numbers
from manygate.data.labelled import RunTables, check_labelled
from manygate.data.memory import enough_memory, free_memory, gigabytes
from manygate.data.rows import Rows
from manygate.data.table import Table
from manygate.data.unseen import cold_rows
from manygate.errors import InputError
from manygate.scoring.input_check import InputCheck
from manygate.scoring.predictor import Predictor

METRIC_BYTES = 240
"""Bytes for each row that the metrics of one task need: the task's labels, weights and scores, and their order."""


@dataclass(frozen=True)
class ScoredRows:
    """The rows of a labelled log without their inputs: logits, labels and the columns that a fusion reads.

    ``run_part`` is the part of the run's own log that the table is, or None for another table.
    """

    logit_RNT: np.ndarray
    rows: Rows
    number: dict[str, np.ndarray]
    run_part: str | None
    cold_N: np.ndarray
    """True for rows with an unseen id."""
    warnings: list[str]
    """What the inputs of the rows lack."""


def score_rows(predictor: Predictor, table: Table, features: Sequence[str] = ()) -> ScoredRows:
    """Encode and score a labelled table as serving would see it. ``features`` are further columns to read as numbers.

    Exact metrics such as AUC need the scores and labels of all rows, so memory grows with the rows: :func:`scored_bytes` of them.
    Raises :class:`InputError` if this is more than what is free.
    """
    columns = check_labelled(predictor.encoder, table)
    table.require(features, "named by a fusion's feature")
    replicas, tasks = predictor.model.replicas, len(predictor.problem.tasks)
    check_room(table, replicas, tasks)
    run_tables, check = RunTables(predictor.log, table), InputCheck(predictor.encoder)
    with enough_memory(table.name, _remedy(replicas, tasks)):
        parts = list(_scored_batches(predictor, table, columns, features, run_tables, check))
        logit_RNT = np.concatenate([logit_RBT for logit_RBT, *_ in parts], axis=1)
        rows = Rows.concat([rows for _, rows, *_ in parts])
        number = {name: np.concatenate([numbers[name] for _, _, numbers, _ in parts]) for name in features}
        cold_N = np.concatenate([cold_B for *_, cold_B in parts])
    return ScoredRows(logit_RNT, rows, number, run_tables.part(), cold_N, check.warnings())


def _scored_batches(
    predictor: Predictor,
    table: Table,
    columns: Sequence[str],
    features: Sequence[str],
    run_tables: RunTables,
    check: InputCheck,
) -> Iterator[tuple[np.ndarray, Rows, dict[str, np.ndarray], np.ndarray]]:
    for location, batch in table.batches(list(dict.fromkeys([*columns, *features]))):
        run_tables.add(batch.select(columns))
        rows = predictor.encoder.encode(batch, location, bias=False)
        check.add(batch, rows)
        number = {name: as_numbers(batch.column(name), name, location) for name in features}
        yield predictor.logits(rows), rows.without_inputs(), number, cold_rows(predictor.problem.inputs, rows)


def scored_bytes(rows: int, replicas: int, tasks: int) -> int:
    """Estimate the bytes that the scores and labels of some rows, and the metrics of one task after another, need.

    Each row has R x T logits, T labels and T weights in float32, and its group. The metrics of a task need the R outputs in float64
    and :data:`METRIC_BYTES`.

    >>> scored_bytes(1_000_000, replicas=5, tasks=3)
    372000000
    """
    return rows * (4 * replicas * tasks + 8 * tasks + 8 + 8 * replicas + METRIC_BYTES)


def check_room(table: Table, replicas: int, tasks: int) -> None:
    """Raise an :class:`InputError` before any work if the rows of a table are known not to fit in memory."""
    rows = table.count()
    needed, free = scored_bytes(rows or 0, replicas, tasks), free_memory()
    if needed > free:
        raise InputError(
            f"{table.name}: the metrics of {rows:,} rows need about {gigabytes(needed)} of memory, and {gigabytes(free)} are free. "
            f"{_remedy(replicas, tasks)}"
        )


def _remedy(replicas: int, tasks: int) -> str:
    return (
        "Exact metrics such as AUC rank the scores of all rows: replicas x rows x tasks numbers, here "
        f"{replicas} x rows x {tasks}. Evaluate fewer rows, for example one file of the log at a time, or a sample."
    )
