"""What rows looked like, in shares, and the distance of two distributions."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.scoring.reference import (
    BINS,
    FLOOR,
    IDS,
    Bins,
    FrequentIds,
    distribution,
    id_reference,
    list_reference,
    number_reference,
    psi,
    shares,
)


def test_bins_of_spread_numbers_are_deciles() -> None:
    bins = Bins.of(np.arange(1000.0))
    assert len(bins.cuts) == BINS - 1
    assert set(bins.count(np.arange(1000.0)).tolist()) <= {99, 100, 101}


def test_a_frequent_number_is_one_cut() -> None:
    """No bin is empty in the rows that made it."""
    value_N = np.array([0.0] * 70 + [1.0] * 10 + list(range(2, 22)))
    bins = Bins.of(value_N)
    assert len(set(bins.cuts)) == len(bins.cuts) < BINS - 1
    assert min(bins.cuts) > 0.0
    assert bins.count(value_N).min() > 0
    assert bins.count(value_N)[0] == 70


@given(st.lists(st.floats(width=32), max_size=60))
def test_every_number_but_nan_is_in_one_bin(values: list[float]) -> None:
    value_N = np.array(values, dtype=np.float64)
    found = number_reference(value_N)
    assert np.isfinite(found["cuts"]).all()
    assert found["cuts"] == sorted(set(found["cuts"]))
    known = int((~np.isnan(value_N)).sum())
    assert sum(found["shares"]) == pytest.approx(1.0 if known else 0.0)
    assert found["null"] == pytest.approx(1 - known / len(values) if values else 0.0)
    assert Bins(tuple(found["cuts"])).count(value_N).sum() == known
    json.dumps(found, allow_nan=False)


def test_numbers_on_a_cut_and_beyond() -> None:
    count_K = Bins((1.0, 5.0)).count(np.array([-np.inf, 0.9, 1.0, 4.9, 5.0, np.inf, np.nan]))
    assert count_K.tolist() == [2, 2, 2]
    assert Bins(()).count(np.array([3.0, np.nan])).tolist() == [1]


def test_frequent_ids_and_the_rest() -> None:
    row_N = np.concatenate([np.full(n, n + 1) for n in range(1, 31)] + [np.zeros(40, int), np.ones(500, int)])
    frequent = FrequentIds.of(row_N)
    assert len(frequent.rows) == IDS
    assert frequent.rows[:3] == (1, 31, 30)
    count_K = frequent.count(row_N)
    assert count_K[0] == 500
    assert count_K.sum() == len(row_N) - 40
    assert frequent.count(np.array([0, 0])).tolist() == [0] * (IDS + 1)


def test_what_ids_and_lists_looked_like() -> None:
    found = id_reference(np.array([0, 1, 2, 2, 2], np.int32))
    assert found == {"null": 0.2, "unseen": 0.25, "rows": [2, 1], "shares": [0.75, 0.25, 0.0]}
    assert id_reference(np.zeros(3, int)) == {"null": 1.0, "unseen": 0.0, "rows": [], "shares": [0.0]}
    assert list_reference(np.array([0, 1, 5]), np.array([0, 2, 1, 0])) == {"null": 0.5, "unseen": 0.5}
    assert list_reference(np.zeros(0, int), np.zeros(2, int)) == {"null": 1.0, "unseen": 0.0}
    json.dumps(found, allow_nan=False)
    assert distribution(np.array([1.0, 1.0, 2.0, 2.0])) == {"cuts": [2.0], "shares": [0.5, 0.5]}


def test_psi_is_the_published_sum() -> None:
    before, now = [0.2, 0.3, 0.5], [0.3, 0.3, 0.4]
    expected = 0.1 * math.log(0.3 / 0.2) - 0.1 * math.log(0.4 / 0.5)
    assert psi(before, now) == pytest.approx(expected)
    assert psi(now, before) == pytest.approx(expected), "it is symmetric"
    assert psi(before, before) == 0.0


def test_an_empty_bin_counts_as_the_floor() -> None:
    assert psi([1.0, 0.0], [0.5, 0.5]) == pytest.approx(-0.5 * math.log(0.5) + (0.5 - FLOOR) * math.log(0.5 / FLOOR))
    assert np.isfinite(psi([1.0, 0.0], [0.0, 1.0]))


def test_a_shift_is_far_and_other_rows_of_the_same_are_near() -> None:
    random = np.random.default_rng(0)
    before_N, same_N, shifted_N = random.normal(size=5000), random.normal(size=5000), random.normal(size=5000) + 1
    bins = Bins.of(before_N)
    before_K, same_K, shifted_K = (shares(bins.count(value_N)) for value_N in (before_N, same_N, shifted_N))
    assert psi(before_K, same_K) < 0.02
    assert psi(before_K, shifted_K) > 0.25
