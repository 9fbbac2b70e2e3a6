"""Metrics of warm and cold rows add up to those of all rows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from manygate.metrics import auc, r2, rmse
from manygate.metrics.cold_start import auc_by_pairs, spreads

quick = settings(max_examples=60, deadline=None, derandomize=True)
row = st.tuples(st.integers(0, 1), st.integers(0, 6), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.booleans())


def by_hand(label, score, weight, cold) -> dict[str, tuple[float, float]]:
    """Compare every row with label 1 with every row with label 0."""
    won, total = dict.fromkeys(("warm", "cold", "mixed"), 0.0), dict.fromkeys(("warm", "cold", "mixed"), 0.0)
    for i, j in itertools.product(range(len(label)), repeat=2):
        if label[i] == 1 and label[j] == 0:
            name = "mixed" if cold[i] != cold[j] else "cold" if cold[i] else "warm"
            pair = weight[i] * weight[j]
            total[name] += pair
            won[name] += pair * (score[i] > score[j]) + pair * (score[i] == score[j]) / 2
    every = sum(total.values())
    return {name: (won[name] / total[name] if total[name] else math.nan, total[name] / every) for name in total}


@quick
@given(rows=st.lists(row, min_size=2, max_size=14))
def test_auc_is_divided_by_pairs_and_adds_up(rows):
    label, score, weight, cold = (np.array(column) for column in zip(*rows, strict=True))
    assume({0, 1} <= set(label[weight > 0].tolist()))
    found = auc_by_pairs(label, score, weight, cold)
    for name, (value, share) in by_hand(label, score, weight, cold).items():
        assert found[name].auc == pytest.approx(value, abs=1e-12, nan_ok=True)
        assert found[name].share == pytest.approx(share, abs=1e-12)
    total = math.fsum(part.auc * part.share for part in found.values() if part.share)
    assert total == pytest.approx(auc(label, score, weight), abs=1e-12)
    assert math.fsum(part.share for part in found.values()) == pytest.approx(1)


def test_one_class_has_no_pairs():
    for part in auc_by_pairs([1, 1], [0.2, 0.3], [1, 1], [True, False]).values():
        assert math.isnan(part.auc)
        assert math.isnan(part.share)


def test_r2_is_what_error_and_spread_leave():
    random = np.random.default_rng(0)
    label, score = random.normal(size=50), random.normal(size=50)
    weight, cold = random.choice([0.0, 1.0, 2.0], 50), random.random(50) < 0.3
    found, error, spread = spreads(label, weight, cold), 0.0, 0.0
    for name, own in (("warm", ~cold), ("cold", cold)):
        share = weight[own].sum() / weight.sum()
        error += share * rmse(label[own], score[own], weight[own]) ** 2
        spread += share * found[name]
    assert 1 - error / spread == pytest.approx(r2(label, score, weight))
