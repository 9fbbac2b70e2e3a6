"""Finds tasks whose labels say the same, because a comparison of such tasks says nothing about sharing.

Shape suffixes: N rows, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from manygate.data.log_rows import LogRows
from manygate.results.evaluation import DataWarning
from manygate.schema import Schema

FEWEST_LABELS = 100
"""With fewer labels that both tasks know, labels may be equal by chance, and nothing is said."""


def equal_label_warnings(schema: Schema, rows: LogRows) -> Iterator[DataWarning]:
    """Warn of pairs of tasks whose labels are equal, or opposite, on all rows of which both tasks know the label.

    Args:
        schema: The schema, with the tasks.
        rows: The encoded training rows.
    """
    pairs = {pair: _Pair() for pair in combinations(range(len(schema.tasks)), 2)}
    for chunk in rows.label_chunks() if pairs else ():
        for (first, second), pair in pairs.items():
            both_N = (chunk.weight_BT[:, [first, second]] > 0).all(axis=1)
            pair.add(chunk.label_BT[both_N, first], chunk.label_BT[both_N, second])
    for (first, second), pair in pairs.items():
        if pair.relation is None:
            continue
        names = (schema.tasks[first].name, schema.tasks[second].name)
        yield DataWarning(
            level="warning",
            task=names[1],
            text=f"tasks {names[0]!r} and {names[1]!r} have {pair.relation} labels on all {pair.rows:,} training rows of which "
            "both know the label. They are one task with two names, so a gain by sharing between them means nothing. Leave one "
            "out, or check how the labels were made.",
        )


@dataclass
class _Pair:
    """Compares the labels of two tasks. Labels of one value alone do not count.

    >>> pair = _Pair()
    >>> pair.add(np.arange(100) % 2, 1 - np.arange(100) % 2)
    >>> pair.relation
    'opposite'
    """

    rows: int = 0
    equal: bool = True
    opposite: bool = True
    smallest: float = np.inf
    largest: float = -np.inf

    def add(self, label_N: np.ndarray, other_N: np.ndarray) -> None:
        if not len(label_N):
            return
        self.rows += len(label_N)
        self.equal &= np.array_equal(label_N, other_N)
        self.opposite &= bool(np.isin(label_N, (0, 1)).all()) and np.array_equal(other_N, 1 - label_N)
        self.smallest, self.largest = min(self.smallest, float(label_N.min())), max(self.largest, float(label_N.max()))

    @property
    def relation(self) -> str | None:
        if self.rows < FEWEST_LABELS or self.smallest == self.largest:
            return None
        return "equal" if self.equal else "opposite" if self.opposite else None
