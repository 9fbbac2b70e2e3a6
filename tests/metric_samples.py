"""Labels and scores for the tests of metrics."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

quick = settings(derandomize=True, deadline=None, max_examples=80)


@st.composite
def tables(draw, kind="binary", weights=(0, 0.5, 1, 2, 3)):
    """Label, score on a coarse grid (ties), weight (masks), group."""
    label = st.sampled_from((0, 1)) if kind == "binary" else st.integers(-3, 3)
    row = st.tuples(label, st.integers(0, 8), st.sampled_from(weights), st.integers(0, 3))
    columns = np.array(draw(st.lists(row, min_size=1, max_size=40)), dtype=float).T
    return columns[0], columns[1] / 8, columns[2], columns[3].astype(int)


def sample(rng, rows=300, rate=0.3, gap=1.0):
    label = (rng.random(rows) < rate).astype(int)
    return label, np.round(rng.normal(size=rows) + gap * label, 1)
