"""The words of a search: values as their metrics have them, and the headline."""

from __future__ import annotations

import pytest

from manygate.report.tuning.words import axis_label, headline, objective_words, score, scores, side
from manygate.results.comparison import TaskGain
from manygate.results.tuning import TunedObjective


def gain(value: float, half: float | None) -> TaskGain:
    bounds = None if half is None else (value - half, value + half)
    return TaskGain(
        metric="auc", gain=value, ci95=bounds, joint95=bounds, sd_replicas=0.1, se_test=0.1, verdict="cannot tell", clusters=9
    )


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        (None, "No trial was better on validation rows than the default settings of mmoe, so they stay."),
        ({"a": gain(0.1, 0.05)}, "Tuning mmoe helps a: +0.1000 AUC (+0.0500 to +0.1500)."),
        ({"a": gain(0.1, 0.2)}, "Tuning mmoe makes no clear difference to a: +0.1000 AUC (−0.1000 to +0.3000)."),
        ({"a": gain(0.1, 0.05), "b": gain(0.1, 0.01)}, "Tuning mmoe helps all 2 tasks and clearly hurts none."),
        ({"a": gain(0.1, 0.05), "b": gain(0.1, 0.2)}, "Tuning mmoe helps a and clearly hurts none."),
        ({"a": gain(0.1, 0.05), "b": gain(-0.1, 0.05)}, "Tuning mmoe helps a and hurts b."),
        ({"a": gain(0.0, 0.05), "b": gain(-0.1, 0.05)}, "Tuning mmoe helps no task clearly and hurts b."),
        ({"a": gain(0.0, 0.05), "b": gain(0.1, None)}, "Tuning mmoe makes no clear difference to any of its 2 tasks."),
    ],
)
def test_the_headline_says_what_is_beyond_doubt(gains: dict[str, TaskGain] | None, words: str) -> None:
    assert headline("mmoe", gains) == words


def test_values_are_shown_as_their_metric_has_them() -> None:
    mean = TunedObjective(name="mean", task=None, metric=None, better="higher")
    loss = TunedObjective(name="buy/log_loss", task="buy", metric="log_loss", better="lower")
    ratio = TunedObjective(name="buy/calibration", task="buy", metric="calibration", better="one")
    assert scores([mean, loss, ratio], [8.123, -0.25, -0.125]) == "8.12, 0.2500, 0.1250"
    assert score(loss, -0.5) == "0.5000"
    assert (axis_label(loss), axis_label(ratio)) == ("log loss of buy ↓", "distance from 1 of observed / expected of buy ↓")
    assert objective_words(mean) == "mean of the tasks, in standard errors above guessing"


def test_the_side_of_a_gain_needs_its_joint_interval() -> None:
    assert [side(gain(0.1, 0.05)), side(gain(-0.1, 0.05)), side(gain(0.1, 0.2)), side(gain(0.1, None))] == [1, -1, 0, 0]
