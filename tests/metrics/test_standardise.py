"""The standard errors of main metrics: by hand, and against the spread of simulated metrics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from manygate import metrics
from manygate.metrics.standardise import ERRORS, GUESS, auc_error, r2_error


def test_every_main_metric_has_a_guess_and_an_error():
    assert set(GUESS) == set(ERRORS) == set(metrics.MAIN_METRIC.values())
    assert metrics.auc([0, 1, 1], [7, 7, 7]) == GUESS["auc"]
    assert metrics.r2([0.0, 1.0, 2.0], [1.0, 1.0, 1.0]) == GUESS["r2"]


def test_by_hand():
    assert auc_error([0, 0, 0, 1]) == pytest.approx(math.sqrt((1 / 3 + 1) / 12))
    assert auc_error([0, 0, 1, 1], [1, 3, 2, 2]) == pytest.approx(math.sqrt((10 / 16 + 8 / 16) / 12))
    assert auc_error([0, 0, 1, 1, 0, 1], [1, 3, 2, 2, 0, 0]) == auc_error([0, 0, 1, 1], [1, 3, 2, 2]), "weight 0 masks a row"
    # deviations -1, -1, 2: mean square 2, mean fourth power 6, kurtosis 1.5
    assert r2_error([0, 0, 3]) == pytest.approx(math.sqrt((4 * 1.5 + 36) / (81 * 3)))
    assert r2_error([0, 3], [2, 1]) == pytest.approx(math.sqrt((4 * 1.5 + 36) / 81 * 5 / 9))


@pytest.mark.parametrize("label", [[], [1, 1], [0, 0]])
def test_an_error_is_undefined_where_the_metric_is(label):
    assert math.isnan(auc_error(label))
    assert math.isnan(r2_error(label))


def test_an_error_has_the_unit_of_its_metric_and_not_that_of_the_label():
    label = np.random.default_rng(0).lognormal(size=50)
    assert r2_error(label) == pytest.approx(r2_error(1000 * label - 7))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ones", [20, 200])
def test_the_auc_of_random_scores_has_this_standard_error(ones, weighted):
    random = np.random.default_rng(1)
    label, draws = np.arange(400) < ones, 3000
    weight = random.choice([0.5, 1.0, 4.0], 400) if weighted else np.ones(400)
    values = [metrics.auc(label, random.normal(size=400), weight) for _ in range(draws)]
    assert np.mean(values) == pytest.approx(0.5, abs=4 * auc_error(label, weight) / math.sqrt(draws))
    assert np.std(values) == pytest.approx(auc_error(label, weight), rel=0.06)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tails", ["normal", "heavy"])
def test_the_r2_of_a_predictor_that_explains_a_third_has_this_standard_error(tails, weighted):
    """Rows and predictions are drawn anew each time. The kurtosis of t with 12 degrees of freedom is 3.75."""
    random = np.random.default_rng(2)
    rows, draws, values, errors = 1500, 2000, [], []
    weight = random.choice([0.5, 1.0, 4.0], rows) if weighted else np.ones(rows)
    for _ in range(draws):
        label = random.normal(size=rows) if tails == "normal" else random.standard_t(12, size=rows) * math.sqrt(10 / 12)
        prediction = label / 3 + math.sqrt(2 / 9) * random.normal(size=rows)
        values.append(metrics.r2(label, prediction, weight))
        errors.append(r2_error(label, weight))
    assert np.mean(values) == pytest.approx(1 / 3, abs=0.01)
    assert np.std(values) == pytest.approx(np.mean(errors), rel=0.06)


def test_the_error_of_r2_is_largest_for_a_third_with_normal_labels():
    """4 s (1 - s)^2 is the variance of a row's influence when s is explained."""
    share = np.linspace(0.01, 0.99, 99)
    variance = 4 * share * (1 - share) ** 2
    assert share[variance.argmax()] == pytest.approx(1 / 3, abs=0.01)
    normal = np.random.default_rng(3).normal(size=200_000)
    assert r2_error(normal) ** 2 * 200_000 == pytest.approx(variance.max(), rel=0.01)
