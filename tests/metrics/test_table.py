"""Tests of the table of metrics, and of a metric that a test adds to it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from documents import render
from manygate import metrics
from manygate.evaluation.monitor import parse_monitor
from manygate.metrics.table import METRICS, Metric
from manygate.schema import Task
from sample_runs import trained


def test_the_table_has_every_metric_with_its_direction_and_one_main_metric_a_kind():
    assert [name for name, metric in METRICS.items() if metric.better == "higher"] == ["auc", "gauc", "average_precision", "r2"]
    assert [name for name, metric in METRICS.items() if metric.better == "one"] == ["calibration"]
    assert metrics.MAIN_METRIC == {"binary": "auc", "regression": "r2"}
    assert all(metric.meaning.endswith(".") for metric in METRICS.values())
    assert metrics.metric_names("binary", grouped=False) == [name for name in metrics.metric_names("binary") if name != "gauc"]


@pytest.mark.parametrize("name", METRICS)
def test_no_metric_leaves_the_range_that_the_table_gives_it(name):
    rng, metric = np.random.default_rng(5), METRICS[name]
    for _ in range(50):
        label, score, weight = rng.integers(0, 2, 12), rng.choice([0.0, 0.3, 1.0], 12), rng.uniform(0.1, 3, 12)
        columns = (label, score, rng.integers(0, 3, 12), weight) if metric.by_group else (label, score, weight)
        value = metric.compute(*columns)
        assert math.isnan(value) or metric.lowest <= value <= metric.highest
        assert math.isnan(value) or metric.oriented(value) <= metric.oriented(1.0 if metric.better == "one" else best(metric))


def best(metric: Metric) -> float:
    return metric.highest if metric.better == "higher" else metric.lowest


def brier(label_N, probability_N, weight_N=None):
    """Compute the mean squared distance between label and probability."""
    return float(np.average((np.asarray(label_N) - np.asarray(probability_N)) ** 2, weights=weight_N))


def test_an_added_metric_is_computed_monitored_and_shown(monkeypatch):
    """A new metric needs a function and an entry. No other line of the package has to change."""
    entry = Metric("Brier score", "binary", "lower", "Mean squared error of the probabilities; 0 is perfect.", brier, highest=1.0)
    monkeypatch.setitem(METRICS, "brier", entry)
    values, _ = metrics.task_metrics("binary", [0, 1], [0.5, 0.9])
    assert values["brier"] == pytest.approx((0.25 + 0.01) / 2)
    tasks = (Task(name="click"), Task(name="like"))
    assert parse_monitor("click/brier", tasks, grouped=False) == (0, "brier")
    assert "Brier score" not in render(trained())
    document = trained()
    for result in document["results"].values():
        for task in result["tasks"].values():
            task["metrics"]["brier"] = {"mean": 0.125, "sd": None, "ci95": None, "values": [0.125]}
    page = render(document)
    assert "Brier score" in page
    assert "0.1250" in page
    assert entry.meaning in page
