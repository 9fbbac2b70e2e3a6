"""Compare the sigmoid with its formula, also at both ends, and check that there is no warning."""

from __future__ import annotations

import math

import numpy as np
import pytest

from manygate.metrics.sigmoid import sigmoid


def test_values_are_those_of_the_formula():
    z_N = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(sigmoid(z_N), [1 / (1 + math.exp(-z)) for z in z_N], rtol=1e-15)
    np.testing.assert_allclose(sigmoid(z_N) + sigmoid(-z_N), 1.0, rtol=1e-15)


def test_the_ends_do_not_overflow():
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("logit", [-10.0, -20.0, -30.0, -40.0, -300.0, -700.0])
def test_small_probabilities_are_exact_so_that_rows_far_below_zero_do_not_tie(logit: float):
    assert sigmoid(logit) == pytest.approx(math.exp(logit) / (1 + math.exp(logit)), rel=1e-14, abs=0)
    assert sigmoid(logit) < sigmoid(logit + 0.5)


def test_sigmoid_is_exact_and_never_overflows():
    z = np.array([-1e308, -800.0, -30.0, -1.0, 0.0, 1.0, 30.0, 800.0, np.inf, -np.inf])
    with np.errstate(all="raise", under="ignore"):
        found = sigmoid(z)
    expected = [0, 0, 9.357622968840175e-14, 0.2689414213699951, 0.5, 0.7310585786300049, 1 - 9.36e-14, 1, 1, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-16)
    np.testing.assert_allclose(found[3:6], expected[3:6], rtol=1e-12)
