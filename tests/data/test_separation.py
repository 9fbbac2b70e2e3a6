"""How well bins separate labels: known values, and rare bins that say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score, roc_auc_score

from manygate.data.separation import FEWEST_OF_A_LABEL, auc_of_bins, auc_of_order, explained_by_bins, halves, merged


def counted(bin_N: np.ndarray, half_N: np.ndarray, label_N: np.ndarray) -> np.ndarray:
    return np.bincount(4 * bin_N + 2 * half_N + label_N, minlength=4 * (bin_N.max() + 1)).reshape(-1, 2, 2)


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_the_auc_is_that_of_each_half_scored_by_the_rates_of_the_other(seed: int, bins: int) -> None:
    generator = np.random.default_rng(seed)
    bin_N, half_N = generator.integers(0, bins, 500), generator.integers(0, 2, 500)
    label_N = (generator.random(500) < generator.random(bins)[bin_N]).astype(int)
    if min(label_N.sum(), 500 - label_N.sum()) < FEWEST_OF_A_LABEL:
        return
    aucs = []
    for judged in (0, 1):
        scored_N = half_N != judged
        rows = np.bincount(bin_N[scored_N], minlength=bins)
        ones = np.bincount(bin_N[scored_N], weights=label_N[scored_N], minlength=bins)
        rate = (ones + label_N[scored_N].mean()) / (rows + 1)
        aucs.append(roc_auc_score(label_N[~scored_N], rate[bin_N[~scored_N]]))
    assert auc_of_bins(counted(bin_N, half_N, label_N)) == pytest.approx(np.mean(aucs))


def test_an_order_separates_where_each_bin_is_rare() -> None:
    bin_N = np.arange(2000)
    label_N = (bin_N >= 700).astype(int)
    count = counted(bin_N, halves(2000, np.random.default_rng(0)), label_N)
    assert auc_of_bins(count) == pytest.approx(0.5, abs=0.02)
    assert auc_of_order(count.sum(axis=1)) == 1
    assert auc_of_order(count[::-1].sum(axis=1)) == 1
    group_K = merged(count.sum(axis=2), groups=10)
    assert np.bincount(group_K).tolist() == [200] * 10


@pytest.mark.parametrize(("ones", "known"), [(FEWEST_OF_A_LABEL - 1, False), (FEWEST_OF_A_LABEL, True)])
def test_few_rows_of_a_label_say_nothing(ones: int, known: bool) -> None:
    label_N = (np.arange(400) < ones).astype(int)
    auc = auc_of_bins(counted(label_N, np.arange(400) % 2, label_N))
    assert np.isfinite(auc) == known


def test_r_squared_is_that_of_the_other_half() -> None:
    generator = np.random.default_rng(1)
    bin_N, half_N = generator.integers(0, 6, 900), generator.integers(0, 2, 900)
    label_N = bin_N + generator.normal(0, 2, 900)
    place_N = 2 * bin_N + half_N
    count = np.bincount(place_N, minlength=12).reshape(6, 2)
    sums = np.bincount(place_N, weights=label_N, minlength=12).reshape(6, 2)
    found = explained_by_bins(count, sums, np.bincount(half_N, weights=label_N**2))
    scores = []
    for judged in (0, 1):
        mean = sums[:, 1 - judged] / count[:, 1 - judged]
        scores.append(r2_score(label_N[half_N == judged], mean[bin_N[half_N == judged]]))
    assert found == pytest.approx(np.mean(scores))


def test_a_constant_number_has_nothing_to_explain() -> None:
    count = np.full((3, 2), 50.0)
    assert np.isnan(explained_by_bins(count, 7 * count, np.array([49 * 150.0, 49 * 150.0])))
    assert np.isnan(explained_by_bins(count[:0], count[:0], np.zeros(2)))


def test_halves_do_not_follow_the_order_of_the_rows() -> None:
    half_N = halves(10_000, np.random.default_rng(0))
    assert abs(half_N.mean() - 0.5) < 0.02
    assert abs((half_N[::2] == half_N[1::2]).mean() - 0.5) < 0.03
