"""Prepares labelled rows for a search of fusion weights."""

from __future__ import annotations

from collections.abc import Sequence

from manygate.data.rows import NO_GROUP
from manygate.data.table import Table
from manygate.errors import InputError, setting
from manygate.scoring.fusion_search import Judged
from manygate.scoring.predictor import Predictor
from manygate.scoring.scored import ScoredRows, score_rows


def judged_rows(predictor: Predictor, table: Table, features: Sequence[str] = ()) -> Judged:
    """Turn a labelled table into the rows of a search for fusion weights: predictions, labels, visits and features."""
    if predictor.schema.group is None:
        raise InputError(
            "a fusion is measured by its ranking of the rows of each visit, and the schema names no group column (a user, a query, "
            f"a page). Train with {setting('group', 'COLUMN')}."
        )
    return judged(predictor, score_rows(predictor, table, features))


def judged(predictor: Predictor, scored: ScoredRows) -> Judged:
    """Combine the labels of scored rows with their predictions and the fusion's features. Rows without a group are left out."""
    rows = scored.rows
    assert rows.group_B is not None, "the caller has checked that the schema has a group"
    kept_N = rows.group_B != NO_GROUP
    if not kept_N.any():
        raise InputError(f"group column {predictor.schema.group!r} is null in every row, so there is no visit. Fill it.")
    labelled = {name: predictor.problem.labelled(rows, t) for t, name in enumerate(predictor.schema.task_names)}
    labels, weights = ({name: pair[part][kept_N] for name, pair in labelled.items()} for part in (0, 1))
    columns, number = (
        {name: value_N[kept_N] for name, value_N in by_name.items()}
        for by_name in (predictor.columns(scored.logit_RNT), scored.number)
    )
    return Judged(columns, labels, weights, rows.group_B[kept_N], number)
