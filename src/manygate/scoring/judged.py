"""Prepares labelled rows for a search of fusion weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manygate.data.column import as_numbers
from manygate.data.encode import Encoder
from manygate.data.encoded import encode_labelled
from manygate.data.rows import Rows
from manygate.data.table import Table
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.scoring.calibration import Calibration
from manygate.scoring.fusion_search import Judged
from manygate.scoring.outputs import task_labels
from manygate.scoring.predictor import predictions


def judged_rows(
    model: MultiTaskModel, encoder: Encoder, table: Table, calibration: Calibration | None = None, features: Sequence[str] = ()
) -> Judged:
    """A labelled table as a search for a fusion's weights needs it: predictions, labels, visits, features."""
    if encoder.schema.group is None:
        raise InputError(
            "a fusion is judged by how it ranks the rows of each visit, and the schema names no group column (a user, a query, "
            "a page). Train with {setting('group', 'COLUMN')}."
        )
    number = feature_numbers(table, features)
    rows = encode_labelled(encoder, table)
    return judged(rows, encoder, predictions(model, encoder, rows, calibration), number)


def judged(rows: Rows, encoder: Encoder, columns: dict[str, np.ndarray], number: dict[str, np.ndarray]) -> Judged:
    assert rows.group_B is not None
    own = {name: task_labels(rows, t, encoder.labels[name]) for t, name in enumerate(encoder.schema.task_names)}
    labels, weights = ({name: pair[place] for name, pair in own.items()} for place in (0, 1))
    return Judged(columns, labels, weights, rows.group_B, number)


def feature_numbers(table: Table, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of a table as numbers, NaN for null."""
    table.require(names, "named by a fusion's feature")
    if not names:
        return {}
    parts = [[as_numbers(batch.column(name), name, place) for name in names] for place, batch in table.batches(list(names))]
    return {name: np.concatenate(columns) for name, columns in zip(names, zip(*parts, strict=True), strict=True)}
