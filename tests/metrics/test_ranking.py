"""Compare ranking metrics with values by hand, loops, scikit-learn and the metrics of a whole log."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from manygate import metrics
from manygate.errors import InputError
from manygate.metrics.ranking import Visits

LOG3 = math.log2(3)


@st.composite
def logs(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Draw groups, scores with ties, gains and weights."""
    size = draw(st.integers(2, 40))
    column = lambda low, high: np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size)))  # noqa: E731
    return column(-2, 4), column(0, 4) / 4, column(0, 3).astype(float), column(0, 2) / 2


def test_by_hand() -> None:
    # Visit 7 from the top: gains 3, 1, 0; visit 8: gains 0, 2; visit 9: one row, no order; visit 5: no gain.
    group = [7, 8, 7, 9, 7, 8, 5, 5]
    score = [0.1, 0.9, 0.8, 0.5, 0.3, 0.2, 0.3, 0.4]
    gain = [0.0, 0.0, 3.0, 4.0, 1.0, 2.0, 0.0, 0.0]
    ranked = Visits(group).ranked(score)
    assert ranked.ndcg(gain) == pytest.approx((1 + (2 / LOG3) / 2) / 2)
    assert ranked.ndcg(gain, k=1) == pytest.approx((1 + 0) / 2)
    assert ranked.gain(gain, k=2) == pytest.approx((2 + 1 + 4 + 0) / 4)
    assert ranked.gain(gain, k=1) == pytest.approx((3 + 0 + 4 + 0) / 4)
    assert ranked.gain(gain) == pytest.approx((4 / 3 + 1 + 4 + 0) / 4)


def test_tied_rows_count_as_in_a_random_order() -> None:
    """The value equals the mean over all orders of the tied rows."""
    gain = np.array([5.0, 1.0, 0.0, 2.0])
    ranked = Visits([1, 1, 1, 1]).ranked([0.9, 0.4, 0.4, 0.4])
    best = 5 + 2 / LOG3 + 1 / 2
    orders = [[5.0, *order] for order in itertools.permutations([1.0, 0.0, 2.0])]
    for k in (1, 2, 3, 4):
        top = [sum(g / math.log2(i + 2) for i, g in enumerate(order[:k])) for order in orders]
        assert ranked.ndcg(gain, k) == pytest.approx(np.mean(top) / min(best, sum([5, 2 / LOG3, 0.5, 0][:k])))
        assert ranked.gain(gain, k) == pytest.approx(np.mean([np.mean(order[:k]) for order in orders]))


@given(logs(), st.sampled_from([None, 1, 3, 10]))
def test_ndcg_is_scikit_learns(log: tuple[np.ndarray, ...], k: int | None) -> None:
    group, score, gain, _ = log
    groups = [group == visit for visit in np.unique(group)]
    oracle = [ndcg_score([gain[at]], [score[at]], k=k) for at in groups if at.sum() > 1 and gain[at].sum() > 0]
    ndcg = Visits(group).ranked(score).ndcg(gain, k)
    assert ndcg == pytest.approx(np.mean(oracle)) if oracle else math.isnan(ndcg)


@given(logs())
def test_gauc_is_that_of_the_metrics(log: tuple[np.ndarray, ...]) -> None:
    group, score, gain, weight = log
    label = (gain > 1).astype(float)
    np.testing.assert_allclose(Visits(group).ranked(score).gauc(label, weight), metrics.gauc(label, score, group, weight))


@given(logs(), st.sampled_from([None, 1, 2, 5]))
def test_gain_is_that_of_a_loop(log: tuple[np.ndarray, ...], k: int | None) -> None:
    group, _, gain, _ = log
    score = np.arange(len(group))[::-1] * 1.0
    loop = [gain[group == visit][:k].mean() for visit in np.unique(group)]
    assert Visits(group).ranked(score).gain(gain, k) == pytest.approx(np.mean(loop))


@given(logs(), st.floats(0.1, 9))
def test_only_the_order_counts(log: tuple[np.ndarray, ...], scale: float) -> None:
    group, score, gain, weight = log
    visits, shuffled = Visits(group), np.random.default_rng(0).permutation(len(group))
    original, scaled = visits.ranked(score), visits.ranked(scale * score - 3)
    three = Visits(group[shuffled]).ranked(score[shuffled])
    label = (gain > 0) * 1.0
    for name, given_ in (("ndcg", (gain, 3)), ("gain", (gain, 2)), ("gauc", (label, weight))):
        values = [getattr(ranked, name)(*given_) for ranked in (original, scaled)]
        moved = [part[shuffled] if isinstance(part, np.ndarray) else part for part in given_]
        np.testing.assert_allclose(values, getattr(three, name)(*moved))


def test_invalid_scores_and_gains_are_errors() -> None:
    visits = Visits([1, 1])
    with pytest.raises(InputError, match="not finite"):
        visits.ranked([0.1, np.nan])
    with pytest.raises(InputError, match="expected one for each of 2 rows"):
        visits.ranked([0.1])
    with pytest.raises(InputError, match="at least 0; found -1"):
        visits.ranked([0.1, 0.2]).ndcg([-1.0, 1.0])
    with pytest.raises(InputError, match="finite number"):
        visits.ranked([0.1, 0.2]).gain([np.nan, 1.0])
    with pytest.raises(InputError, match="one number for each row"):
        Visits([[1, 2]])
    assert math.isnan(Visits([]).ranked([]).gain([]))
    assert math.isnan(Visits([]).ranked([]).ndcg([]))
    assert math.isnan(Visits([]).ranked([]).gauc([], []))
