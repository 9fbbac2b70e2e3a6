"""Finds tasks whose labels say the same, because a comparison of such tasks says nothing about sharing.

Shape suffixes: N rows, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from manygate.data.rows import Rows
from manygate.results.evaluation import DataWarning
from manygate.schema import Schema

FEWEST_LABELS = 100
"""With fewer labels that both tasks know, labels may be equal by chance, and nothing is said."""


def equal_label_warnings(schema: Schema, rows: Rows) -> Iterator[DataWarning]:
    """Warn of pairs of tasks whose labels are equal, or opposite, on all rows of which both tasks know the label.

    Args:
        schema: The schema, with the tasks.
        rows: The encoded training rows.
    """
    for first, second in combinations(range(len(schema.tasks)), 2):
        both_N = (rows.weight_BT[:, [first, second]] > 0).all(axis=1)
        relation = _relation(rows.label_BT[both_N, first], rows.label_BT[both_N, second])
        if relation is None:
            continue
        names = (schema.tasks[first].name, schema.tasks[second].name)
        yield DataWarning(
            level="warning",
            task=names[1],
            text=f"tasks {names[0]!r} and {names[1]!r} have {relation} labels on all {both_N.sum():,} training rows of which both "
            "know the label. They are one task with two names, so a gain by sharing between them means nothing. Leave one out, or "
            "check how the labels were made.",
        )


def _relation(label_N: np.ndarray, other_N: np.ndarray) -> str | None:
    """Return whether the labels of two tasks are equal or opposite. Labels of one value alone do not count.

    >>> _relation(np.arange(100) % 2, 1 - np.arange(100) % 2)
    'opposite'
    """
    values = np.unique(label_N)
    if len(label_N) < FEWEST_LABELS or len(values) == 1:
        return None
    if np.array_equal(label_N, other_N):
        return "equal"
    return "opposite" if np.array_equal(values, [0, 1]) and np.array_equal(other_N, 1 - label_N) else None
