"""How often a comparison finds a gain: against the noncentral t, by hand, and against a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nct, norm
from scipy.stats import t as student

from manygate.metrics.paired import Measured, gain
from manygate.metrics.power import auc_known_to, power, size_found
from manygate.metrics.uncertainty import influence, standard_error


@pytest.mark.parametrize("replicas", [2, 3, 5, 10])
@pytest.mark.parametrize("looks", [1, 6])
@pytest.mark.parametrize("size", [0.0, 0.01, 0.03])
def test_without_test_rows_it_is_the_noncentral_t(replicas: int, looks: int, size: float) -> None:
    df = replicas - 1
    expected = nct.sf(student.ppf(1 - 0.025 / looks, df), df, size * math.sqrt(replicas) / 0.01)
    assert power(size, 0.01, replicas, 0.0, 10_000, looks) == pytest.approx(expected, abs=2e-3)


def test_without_seeds_it_is_the_normal_by_hand() -> None:
    """The gain is .01 and its error .004: it lies 2.5 errors above zero, and 1.96 are asked for."""
    assert power(0.01, 0.0, 5, 0.004, 10**6) == pytest.approx(norm.cdf(0.01 / 0.004 - 1.960201), abs=1e-5)
    assert (power(0.01, 0.0, 5, 0.0, 10), power(0.0, 0.0, 5, 0.0, 10)) == (1.0, 0.0)


@pytest.mark.parametrize(("auc", "share"), [(0.5, 1.0), (0.6, 1.0), (0.8, 0.75), (0.9, 0.5)])
def test_an_auc_of_few_positives_is_known_to_what_simulated_scores_say(auc: float, share: float) -> None:
    random, label_N = np.random.default_rng(0), np.repeat([1.0, 0.0], [100, 5_000])
    errors = [
        standard_error(influence("binary", label_N, random.normal(size=5_100) + math.sqrt(2) * norm.ppf(auc) * label_N))
        for _ in range(30)
    ]
    assert 1.96 * np.mean(errors) == pytest.approx(share * auc_known_to(100), rel=0.06)


def test_it_is_the_share_of_simulated_comparisons_that_find_the_gain() -> None:
    random, found, runs = np.random.default_rng(4), 0, 4_000
    size, sd, se, replicas, clusters, looks = 0.03, 0.012, 0.006, 3, 500, 2
    influence_G = np.resize([1.0, -1.0], clusters)
    influence_G *= se / math.sqrt(clusters * clusters / (clusters - 1))
    reference = Measured(np.zeros(replicas), np.zeros(clusters))
    for _ in range(runs):
        value_R = size + se * random.normal() + sd * random.normal(size=replicas)
        low, _ = gain(Measured(value_R, influence_G), reference, looks).joint95  # type: ignore[misc]
        found += low > 0
    expected = power(size, sd, replicas, se, clusters, looks)
    assert 0.1 < expected < 0.9
    assert found / runs == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / runs))


@settings(deadline=None, max_examples=25)
@given(st.floats(1e-4, 0.05), st.floats(0, 0.05), st.integers(2, 20), st.integers(1, 40), st.sampled_from([0.5, 0.8]))
def test_the_size_that_is_found_so_often_is_found_so_often(sd: float, se: float, replicas: int, looks: int, share: float) -> None:
    size = size_found(share, sd, replicas, se, 10_000, looks)
    assert power(size, sd, replicas, se, 10_000, looks) == pytest.approx(share, abs=1e-6)
    assert power(2 * size, sd, replicas, se, 10_000, looks) >= share
