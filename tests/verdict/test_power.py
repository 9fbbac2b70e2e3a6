"""The power of few replicas, for the task with the widest interval."""

from __future__ import annotations

import pytest

from gain_entries import entry
from manygate.metrics.power import power
from manygate.verdict.power import power_of_few

MAIN = {"click": "auc", "buy": "auc", "watch": "r2"}
EFFECT = {"click": entry(0.0, half=0.01), "buy": entry(0.0, half=0.03), "watch": entry(0.0, half=0.05)}


def test_it_is_stated_for_the_widest_task_in_one_sentence() -> None:
    """buy is known to three times .01, watch to two and a half times .02."""
    told = power_of_few(EFFECT, MAIN, replicas=3, looks=6)
    assert told is not None
    assert (told.task, told.metric, told.size, told.replicas) == ("buy", "auc", 0.01, 3)
    assert told.found == pytest.approx(power(0.01, 0.01, 3, 0.005, 10_000, 6))
    assert told.found_with_more == pytest.approx(power(0.01, 0.01, 8, 0.005, 10_000, 6))
    assert power(told.size_found, 0.01, 3, 0.005, 10_000, 6) == pytest.approx(0.8)
    assert told.text == (
        f"With 3 replicas a true gain of 0.01 in AUC on buy is found in {100 * told.found:.0f} of 100 such comparisons, "
        f"with 8 replicas in {100 * told.found_with_more:.0f}; a gain of {told.size_found:.2g} is found in 80."
    )
    assert told.found < told.found_with_more < 0.8 < told.size_found / 0.01


@pytest.mark.parametrize(("replicas", "told"), [(1, False), (2, False), (3, True), (4, True), (5, False)])
def test_it_is_stated_where_replicas_are_few_and_intervals_are_known(replicas: int, told: bool) -> None:
    assert (power_of_few(EFFECT, MAIN, replicas, looks=3) is not None) == told


def test_without_intervals_there_is_none() -> None:
    assert power_of_few({"click": entry(None)}, MAIN, replicas=3, looks=3) is None


def test_a_hopeless_comparison_is_called_so() -> None:
    told = power_of_few({"click": entry(0.0, half=0.5).model_copy(update={"sd_replicas": 0.3})}, MAIN, replicas=3, looks=40)
    assert told is not None
    assert "is found in fewer than 1 of 100 such comparisons" in told.text
