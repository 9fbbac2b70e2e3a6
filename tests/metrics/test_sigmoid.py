"""The logistic function: against the formula, at both ends, and without a warning."""

from __future__ import annotations

import math

import numpy as np
import pytest

from manygate.metrics.sigmoid import sigmoid


def test_values_are_those_of_the_formula():
    z_N = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(sigmoid(z_N), [1 / (1 + math.exp(-z)) for z in z_N], rtol=1e-15)
    np.testing.assert_allclose(sigmoid(z_N) + sigmoid(-z_N), 1.0, rtol=1e-15)


def test_the_ends_neither_overflow_nor_lose_small_probabilities():
    with np.errstate(all="raise", under="ignore"):
        p_N = sigmoid(np.array([-1000.0, -100.0, 100.0, 1000.0]))
    assert p_N[0] == 0.0
    assert p_N[1] == pytest.approx(math.exp(-100), rel=1e-12)
    assert p_N[2:].tolist() == [1.0, 1.0]
