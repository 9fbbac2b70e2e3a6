"""Counts of labels, against plain NumPy, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest

from manygate.data.label_counts import LabelCounts, count_labels
from manygate.data.labels import LabelScale
from stored_rows import made_up


@pytest.mark.usefixtures("small_blocks")
def test_counts_are_those_of_all_rows():
    rows = made_up(333)
    rows.weight_BT[::3, 0] = 0
    scales = [LabelScale(), LabelScale()]
    for t, counts in enumerate(count_labels(rows, scales)):
        known = rows.weight_BT[:, t] > 0
        assert counts.rows == known.sum()
        assert counts.positives == (rows.label_BT[known, t] == 1).sum()
        assert counts.mean == pytest.approx(np.average(rows.label_BT[:, t], weights=rows.weight_BT[:, t]), rel=1e-6)
        assert not counts.constant


def test_masked_labels_do_not_count():
    counts = LabelCounts()
    counts.add(np.array([5.0, 2.0]), np.array([0.0, 1.0]), LabelScale())
    counts.add(np.array([7.0]), np.array([0.0]), LabelScale())
    assert (counts.rows, counts.mean, counts.constant, counts.smallest) == (1, 2.0, True, 2.0)
    assert LabelCounts().mean is None
