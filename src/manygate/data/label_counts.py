"""Counts the labels of a task, block by block, so that rows in memory and rows in files give the same numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from manygate.data.labels import LabelScale
from manygate.data.log_rows import LogRows


@dataclass
class LabelCounts:
    """What the labelled rows of a task have. Rows of weight 0 have no label.

    >>> counts = LabelCounts()
    >>> counts.add(np.array([0.0, 1.0, 1.0]), np.array([1.0, 3.0, 0.0]), LabelScale())
    >>> counts.rows, counts.positives, counts.mean
    (2, 1, 0.75)
    """

    rows: int = 0
    positives: int = 0
    smallest: float = np.inf
    largest: float = -np.inf
    weight: float = field(default=0.0, repr=False)
    total: float = field(default=0.0, repr=False)
    """The weighted sum of the labels in the unit of the data."""

    def add(self, label_N: np.ndarray, weight_N: np.ndarray, scale: LabelScale) -> None:
        """Add the encoded labels and the weights of further rows."""
        known_N = weight_N > 0
        if not known_N.any():
            return
        encoded_n, weight_n = label_N[known_N], weight_N[known_N].astype(np.float64)
        label_n = scale.decode(encoded_n.astype(np.float64))
        self.rows += len(label_n)
        self.positives += int((label_n == 1).sum())
        self.smallest = min(self.smallest, float(encoded_n.min()))
        self.largest = max(self.largest, float(encoded_n.max()))
        self.weight += float(weight_n.sum())
        self.total += float((weight_n * label_n).sum())

    @property
    def mean(self) -> float | None:
        """The weighted mean label in the unit of the data, None without a label."""
        return self.total / self.weight if self.rows else None

    @property
    def constant(self) -> bool:
        """True if all labels are the same."""
        return self.smallest == self.largest


def count_labels(rows: LogRows, scales: list[LabelScale]) -> list[LabelCounts]:
    """Count the labels of each task, whose scales are given in the order of the tasks."""
    counts = [LabelCounts() for _ in scales]
    for chunk in rows.label_chunks():
        for t, (count, scale) in enumerate(zip(counts, scales, strict=True)):
            count.add(chunk.label_BT[:, t], chunk.weight_BT[:, t], scale)
    return counts
