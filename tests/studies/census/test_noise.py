"""The luck of the best of many runs against draws, and the width of a comparison with more runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from manygate.metrics.paired import Measured, gain, half_width
from manygate.studies.census.noise import halves, lift_of_best


@pytest.mark.parametrize("runs", [1, 5, 50, 400])
def test_the_lift_is_that_of_draws(runs: int) -> None:
    drawn = np.random.default_rng(0).standard_normal((4_000, runs)).max(axis=1)
    assert lift_of_best(runs) == pytest.approx(drawn.mean(), abs=4 * drawn.std() / math.sqrt(len(drawn)))


def test_more_runs_shrink_the_part_of_the_seeds_alone() -> None:
    influence_N = np.array([0.001, -0.001, 0.002, -0.002] * 50)
    model, other = Measured(np.array([0.90, 0.91, 0.93]), influence_N), Measured(np.array([0.90, 0.90, 0.90]), np.zeros(200))
    found = gain(model, other, looks=4)
    told = halves(found, (3, 100, 400), looks=4)
    assert told is not None
    assert found.joint95 is not None
    assert found.gain is not None
    assert told["3"] == pytest.approx(found.joint95[1] - found.gain)
    assert told["3"] > told["100"] > told["400"] > half_width(0.0, 400, found.se_test or 0.0, 200, 4)


def test_without_an_interval_nothing_is_foretold() -> None:
    undefined = Measured(np.array([math.nan]), np.array([math.nan, math.nan]))
    assert halves(gain(undefined, undefined), (100,), 1) is None
