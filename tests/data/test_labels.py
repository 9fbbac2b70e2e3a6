"""Cuts of a label into levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.data.labels import Levels, fit_levels


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), st.integers(2, 12))
def test_every_level_has_labels_and_their_mean(labels, most):
    label_N = np.array(labels, dtype=np.float64)
    levels = fit_levels(label_N, most)
    assert len(levels.means) == len(levels.cuts) + 1
    if len(np.unique(label_N)) == 1:
        assert levels == Levels((label_N[0],), (label_N[0], label_N[0]))
        return
    assert 1 <= len(levels.cuts) < most
    assert list(levels.cuts) == sorted(set(levels.cuts))
    edges = [-np.inf, *levels.cuts, np.inf]
    for k, mean in enumerate(levels.means):
        inside = label_N[(label_N > edges[k]) & (label_N <= edges[k + 1])]
        assert mean == pytest.approx(inside.mean(), rel=1e-9, abs=1e-9)


def test_few_values_are_a_level_each_however_rare():
    label_N = np.array([1.0] * 1000 + [2.0, 3.0, 4.0, 5.0])
    assert fit_levels(label_N, 5).cuts == (1.0, 2.0, 3.0, 4.0)


def test_a_value_that_fills_several_levels_is_one():
    label_N = np.concatenate([np.zeros(700), np.linspace(1, 300, 300)])
    levels = fit_levels(label_N, 10)
    assert levels.cuts[0] == 0.0
    assert levels.means[0] == 0.0
    assert len(levels.cuts) == 3
