"""Prepares labelled rows for a search of fusion weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manygate.data.column import as_numbers
from manygate.data.labelled import encode_labelled
from manygate.data.rows import Rows
from manygate.data.table import Table
from manygate.errors import InputError, setting
from manygate.scoring.fusion_search import Judged
from manygate.scoring.predictor import Predictor


def judged_rows(predictor: Predictor, table: Table, features: Sequence[str] = ()) -> Judged:
    """Turn a labelled table into the rows of a search for fusion weights: predictions, labels, visits and features."""
    if predictor.schema.group is None:
        raise InputError(
            "a fusion is measured by its ranking of the rows of each visit, and the schema names no group column (a user, a query, "
            f"a page). Train with {setting('group', 'COLUMN')}."
        )
    number = feature_numbers(table, features)
    rows = encode_labelled(predictor.encoder, table)
    return judged(predictor, rows, predictor.columns(predictor.logits(rows)), number)


def judged(predictor: Predictor, rows: Rows, columns: dict[str, np.ndarray], number: dict[str, np.ndarray]) -> Judged:
    """Combine encoded rows with their predictions and the fusion's features."""
    assert rows.group_B is not None, "the caller has checked that the schema has a group"
    labelled = {name: predictor.problem.labelled(rows, t) for t, name in enumerate(predictor.schema.task_names)}
    labels, weights = ({name: pair[part] for name, pair in labelled.items()} for part in (0, 1))
    return Judged(columns, labels, weights, rows.group_B, number)


def feature_numbers(table: Table, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return columns of a table as numbers, with NaN for null."""
    table.require(names, "named by a fusion's feature")
    if not names:
        return {}
    parts = [[as_numbers(batch.column(name), name, place) for name in names] for place, batch in table.batches(list(names))]
    return {name: np.concatenate(columns) for name, columns in zip(names, zip(*parts, strict=True), strict=True)}
