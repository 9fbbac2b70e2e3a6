"""Effect, price and gain as shipped: three paired differences that add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.metrics.paired import Measured, gain
from manygate.verdict.shipping import gains_as_shipped, prices

MAIN = {"click": "auc", "watch": "r2"}


def measured(seed: int, spread: float) -> dict[str, Measured]:
    random = np.random.default_rng(seed)
    influence = random.normal(size=(2, 50)) * spread / 50
    influence -= influence.mean(axis=1, keepdims=True)
    values = 0.7 + spread * random.normal(size=(2, 5))
    return {task: Measured(values[at], influence[at]) for at, task in enumerate(MAIN)}


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-6, 0.1), st.integers(1, 20))
def test_the_gain_as_shipped_is_the_effect_less_the_price(seed: int, spread: float, looks: int) -> None:
    own, kept, baseline = (measured(seed + at, spread) for at in range(3))
    price, shipped = prices(own, kept, MAIN, looks), gains_as_shipped(kept, baseline, MAIN, looks)
    for task, key in MAIN.items():
        effect = gain(own[task], baseline[task], looks)
        assert shipped[task].gain == pytest.approx(effect.gain - price[task].price, abs=1e-12)  # type: ignore[operator]
        assert (price[task].metric, shipped[task].metric) == (key, key)


def test_a_price_by_hand() -> None:
    """Own .80 .82 .84 and kept .79 .80 .81: the price is .01 .02 .03, its mean .02 and its standard deviation .01."""
    same = np.array([0.01, -0.01])
    own, kept = Measured(np.array([0.80, 0.82, 0.84]), same), Measured(np.array([0.79, 0.80, 0.81]), same)
    (price,) = prices({"click": own}, {"click": kept}, {"click": "auc"}, looks=2).values()
    assert price.price == pytest.approx(0.02)
    assert price.sd_replicas == pytest.approx(0.01)
    assert price.se_test == 0.0, "the same influences: the test rows do not matter"
    half, wide = 4.302653 * 0.01 / np.sqrt(3), 6.205347 * 0.01 / np.sqrt(3)
    assert price.ci95 == pytest.approx((0.02 - half, 0.02 + half), rel=1e-5)
    assert price.joint95 == pytest.approx((0.02 - wide, 0.02 + wide), rel=1e-5), "t of 2 degrees at .975 and at .9875"


def test_a_model_that_keeps_its_own_epochs_pays_nothing() -> None:
    own = measured(3, 0.01)
    for price in prices(own, own, MAIN, looks=4).values():
        assert (price.price, price.ci95, price.joint95, price.reason) == (0.0, (0.0, 0.0), (0.0, 0.0), None)


def test_what_cannot_be_known_is_said() -> None:
    lost = {task: Measured(np.array([np.nan, 0.1, 0.2]), np.zeros(2)) for task in MAIN}
    few = {task: Measured(np.array([0.1, 0.2]), np.zeros(2)) for task in MAIN}
    assert prices(lost, lost, MAIN, 1)["click"].reason == "The gain is undefined on the test rows."
    assert prices(few, few, MAIN, 1)["click"].reason == "3 or more replicas are needed for an interval, and there are 2."
