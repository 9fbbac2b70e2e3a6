"""Fits of calibrators against scikit-learn, brute force and hand values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from calibration_samples import FITTED, LABEL, OFF, TRUE, WEIGHT, N
from manygate import metrics
from manygate.data.rows import Rows
from manygate.errors import InputError
from manygate.model.problem import Problem
from manygate.schema import Task
from manygate.scoring.calibration import Calibrator, logit
from manygate.scoring.calibration_fit import fit_calibration, fit_calibrator, pool


def losses(method: str, **numbers: float) -> float:
    return metrics.log_loss(LABEL, Calibrator(method, numbers).apply(OFF), WEIGHT)


def test_platt_undoes_what_platt_can() -> None:
    found = fit_calibrator("platt", LABEL, OFF, WEIGHT).numbers
    assert found["a"] == pytest.approx(1 / 1.7, abs=0.04)
    assert found["b"] == pytest.approx(-0.8 / 1.7, abs=0.05)


def test_platt_is_logistic_regression_on_the_logit() -> None:
    """Platt's targets move the optimum by about one part in the number of rows."""
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(OFF)[:, None], LABEL, sample_weight=WEIGHT)
    found = fit_calibrator("platt", LABEL, OFF, WEIGHT).numbers
    assert found["a"] == pytest.approx(oracle.coef_[0, 0], rel=2e-3)
    assert found["b"] == pytest.approx(oracle.intercept_[0], abs=2e-3)


def test_platt_minimises_the_log_loss_of_its_targets() -> None:
    """Against a gradient by differences, with the targets written down anew."""
    few = slice(0, 40)
    label, z = LABEL[few], logit(OFF[few])
    up, down = label.sum(), (1 - label).sum()
    target = np.where(label == 1, (up + 1) / (up + 2), 1 / (down + 2))

    def loss(a: float, b: float) -> float:
        p = 1 / (1 + np.exp(-(a * z + b)))
        return float(-np.sum(target * np.log(p) + (1 - target) * np.log(1 - p)))

    found = fit_calibrator("platt", label, OFF[few]).numbers
    a, b = found["a"], found["b"]
    for step in ((1e-4, 0), (-1e-4, 0), (0, 1e-4), (0, -1e-4)):
        assert loss(a, b) <= loss(a + step[0], b + step[1])


def test_temperature_is_the_best_of_a_fine_grid() -> None:
    found = fit_calibrator("temperature", LABEL, OFF, WEIGHT).numbers["temperature"]
    grid = np.geomspace(0.2, 5, 300)
    assert losses("temperature", temperature=found) <= min(losses("temperature", temperature=t) for t in grid) + 1e-12


def test_isotonic_blocks_are_scikit_learns() -> None:
    oracle = IsotonicRegression(increasing=True).fit(OFF, LABEL, sample_weight=WEIGHT)
    found = fit_calibrator("isotonic", LABEL, OFF, WEIGHT)
    inside = WEIGHT > 0
    step = oracle.predict(OFF[inside])
    least = 0.5 / (inside.sum() + 1)
    values = np.unique(np.clip(step, least, 1 - least).round(9))
    np.testing.assert_allclose(np.unique(np.round(found.numbers["y"][1:-1], 9)), values)  # equal rates may differ in the last bit


def test_isotonic_by_hand_with_ties_and_weights() -> None:
    # Predictions 0.1 | 0.2 (twice) | 0.3 | 0.4 with rates 0.5, (0 + 2)/4, 0, 1 and weights 2, 4, 1, 1: three are one block.
    label = np.array([0, 1, 0, 1, 0, 1.0])
    predicted = np.array([0.1, 0.1, 0.2, 0.2, 0.3, 0.4])
    weight = np.array([1, 1, 2, 2, 1, 1.0])
    found = fit_calibrator("isotonic", label, predicted, weight).numbers
    centre = (0.2 + 0.8 + 0.3) / 7
    np.testing.assert_allclose(found["x"], [0, centre, 0.4, 1])
    np.testing.assert_allclose(found["y"], [0, 3 / 7, 1 - 0.5 / 7, 1])  # weights count relative to their mean: 6 rows
    # Lines between the centres, and from the outer ones to certainty, which no row is given.
    calibrator = fit_calibrator("isotonic", label, predicted, weight)
    np.testing.assert_allclose(calibrator.apply([centre / 3, (centre + 0.4) / 2, 0.7]), [1 / 7, (3 / 7 + 13 / 14) / 2, 27 / 28])
    assert 0 < calibrator.apply([0.0])[0] < 1e-9 < 1 - 1e-9 < calibrator.apply([1.0])[0] < 1


@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_equal_predictions_get_the_rate_of_their_rows(method: str, value: float) -> None:
    found = fit_calibrator(method, [0, 1, 0, 0] * 100, [value] * 400)
    if method == "temperature":  # which cannot change a side: a 0.3 that is too high stays, a certainty is doubted
        assert found.apply([value])[0] == pytest.approx({0.0: 0.25, 0.3: 0.25, 1.0: 0.5}[value], abs=0.05)
    else:
        assert found.apply([value])[0] == pytest.approx(0.25, abs=0.003)
    assert abs(found.numbers.get("a", 1)) < 3


def test_isotonic_keeps_the_order_of_the_rows() -> None:
    """Also within its first and last block, which a step function would tie."""
    after = fit_calibrator("isotonic", LABEL, OFF).apply(np.sort(OFF))
    assert (np.diff(after) >= 0).all()
    assert len(np.unique(after)) == N
    assert metrics.auc(LABEL, fit_calibrator("isotonic", LABEL, OFF).apply(OFF)) == metrics.auc(LABEL, OFF)


@given(
    arrays(np.float64, st.integers(1, 60), elements=st.floats(-5, 5)).flatmap(
        lambda value: st.tuples(st.just(value), arrays(np.float64, len(value), elements=st.floats(0.1, 10)))
    )
)
def test_pooling_is_isotonic_regression(case: tuple[np.ndarray, np.ndarray]) -> None:
    value, weight = case
    start, found, mass = pool(value, weight)
    stretched = np.repeat(found, np.diff(start, append=len(value)))
    np.testing.assert_allclose(
        stretched, IsotonicRegression().fit(np.arange(len(value)), value, weight).predict(np.arange(len(value))), atol=1e-8
    )
    assert mass.sum() == pytest.approx(weight.sum())
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("method", FITTED)
def test_calibration_lowers_the_error(method: str) -> None:
    half = slice(0, N // 2), slice(N // 2, N)
    after = fit_calibrator(method, LABEL[half[0]], OFF[half[0]]).apply(OFF[half[1]])
    assert metrics.log_loss(LABEL[half[1]], after) < metrics.log_loss(LABEL[half[1]], OFF[half[1]])
    gap = [np.abs(p - TRUE[half[1]]).mean() for p in (OFF[half[1]], after)]
    assert gap[1] < (0.95 if method == "temperature" else 0.35) * gap[0]


@pytest.mark.parametrize("method", FITTED)
def test_separable_rows_do_not_diverge(method: str) -> None:
    label = np.repeat([0.0, 1.0], 50)
    predicted = np.linspace(0.01, 0.99, 100)
    found = fit_calibrator(method, label, predicted)
    assert all(np.isfinite(value).all() for value in map(np.asarray, found.numbers.values()))
    after = found.apply([0.0, 0.3, 0.7, 1.0])
    assert ((after > 0) & (after < 1)).all()
    assert after[0] < 0.05 < 0.95 < after[-1]


def test_what_isotonic_gives_way_to_keeps_the_order() -> None:
    """Here the line of Platt falls."""
    label, predicted = np.array([0.0, 1.0, 0.0, 0.0, 1.0]), np.array([0.75, 0.375, 0.375, 0.375, 0.375])
    assert fit_calibrator("platt", label, predicted).numbers["a"] < 0
    found = fit_calibrator("isotonic", label, predicted)
    assert found.method == "temperature"
    assert (np.diff(found.apply(np.linspace(0, 1, 50))) >= 0).all()


@pytest.mark.parametrize("method", FITTED)
@given(data=st.data())
def test_any_rows_give_a_sound_calibrator(method: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 30))
    label = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=size, max_size=size)))
    label[:2] = 0, 1
    predicted = data.draw(arrays(np.float64, size, elements=st.floats(0, 1)))
    weight = data.draw(arrays(np.float64, size, elements=st.floats(0.01, 100)))
    found = fit_calibrator(method, label, predicted, weight)
    after = found.apply(np.linspace(0, 1, 50))
    assert ((after > 0) & (after < 1)).all()
    if method != "platt":
        assert (np.diff(after) >= 0).all(), "the order stays"
    # A weight is as good as so many rows, up to the clamp at the ends and the targets of Platt, which count rows.
    if method == "temperature":
        twice = fit_calibrator(method, np.tile(label, 2), np.tile(predicted, 2), np.tile(weight, 2))
        assert twice.numbers["temperature"] == pytest.approx(found.numbers["temperature"], rel=1e-6)


def test_masked_rows_do_not_count() -> None:
    inside = WEIGHT > 0
    for method in FITTED:
        one, two = fit_calibrator(method, LABEL, OFF, WEIGHT), fit_calibrator(method, LABEL[inside], OFF[inside], WEIGHT[inside])
        assert one == two


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("plat", [0, 1], [0.1, 0.2]), "Did you mean 'platt'"),
        (("platt", [1, 1], [0.1, 0.2]), "every label of 2 rows is 1"),
        (("platt", [], []), "no labelled row"),
        (("isotonic", [0, 1], [0.1, np.nan]), "not finite"),
    ],
)
def test_what_cannot_be_fitted(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_calibrator(*given)


def test_isotonic_gives_way_to_platt_where_it_loses_on_the_rows_of_the_fit() -> None:
    """With 30 rows it has a few wide blocks, and the lines between their centres may be further off than the predictions were."""
    random, given_up = np.random.default_rng(0), 0
    for _ in range(200):
        p = random.uniform(0.02, 0.98, 30)
        y = (random.random(30) < p).astype(float)
        if 0 < y.sum() < 30:
            one = fit_calibrator("isotonic", y, p)
            given_up += one.method == "platt"
            assert one.method == "platt" or metrics.log_loss(y, one.apply(p)) <= metrics.log_loss(y, p)
    assert 0 < given_up < 100


def test_calibrators_are_fitted_on_the_mean_of_the_replicas_and_the_rows_of_the_task():
    """Replica 1 says .5 everywhere, replica 2 .2 or .8: means .35 and .65, of which a quarter and three quarters are positive."""
    click = np.array([0, 0, 0, 1, 1, 1, 1, 0, 1, 1], np.float32)
    high = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 1])
    weight = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0], np.float32)  # the last two are not the task's
    logit = np.stack([np.zeros(10), np.log(np.where(high, 0.8, 0.2) / np.where(high, 0.2, 0.8))])[..., None]
    of = Rows(np.zeros((10, 0), np.int32), np.zeros((10, 0), np.float32), [], click[:, None], weight[:, None])
    for order in (logit, logit[::-1]):
        found = fit_calibration(order, of, Problem.unscaled((), [Task(name="click")]), "isotonic")
        assert found.fitted["click"]["rows"] == 8
        numbers = found.tasks["click"].numbers
        assert numbers["x"] == pytest.approx([0, 0.35, 0.65, 1])
        assert numbers["y"] == pytest.approx([0, 0.25, 0.75, 1])
