"""What is counted of sampled predictions."""

from __future__ import annotations

import numpy as np
import pytest

import manygate.serving.monitor as monitor_module
from exported import Exported
from manygate.serving.batching import Ran
from manygate.serving.measures import Measures
from manygate.serving.monitor import Monitor
from manygate.serving.rank import read_rank
from manygate.serving.versions import Version
from served import as_json, funnel_rows


@pytest.fixture(scope="module")
def version(exported: Exported) -> Version:
    return Version(exported.model, "one")


def ran(version: Version, monitor: Monitor, **changed: list[object]) -> Ran:
    candidates = as_json(funnel_rows(3), version.model.features) | changed
    feed = read_rank({"candidates": candidates}, version.inputs, version.outputs, version.score, 100).feed
    columns, extra = version.predict(feed, monitor.wants(version))
    return Ran(version, feed, columns, extra, [0.001, 0.002], 0.003)


def sample(measures: Measures, name: str, **labels: str) -> float | None:
    return measures.registry.get_sample_value(name, labels)


def test_unseen_and_null_values_are_counted(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "PAUSE", 0.0)
    measures = Measures()
    monitor = Monitor(measures)
    monitor.observe(ran(version, monitor, item=[7, None, 12345], price=[1.5, None, "NaN"]))
    counts = {
        (feature, kind): sample(measures, "manygate_values_total", feature=feature, kind=kind)
        for feature in ("item", "price")
        for kind in ("known", "unseen", "null")
    }
    assert counts == {
        ("item", "known"): 1, ("item", "unseen"): 1, ("item", "null"): 1,
        ("price", "known"): 1, ("price", "unseen"): None, ("price", "null"): 2,
    }  # fmt: skip
    assert sample(measures, "manygate_batch_rows_sum") == 3
    assert sample(measures, "manygate_stage_seconds_count", stage="wait") == 2


def test_most_predictions_are_not_sampled(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 1.05, 1.2, 1.25])
    monkeypatch.setattr(monitor_module.time, "perf_counter", lambda: next(clock))
    monitor = Monitor(Measures())
    assert [monitor.wants(version) for _ in range(4)] == [("id_rows",), (), ("id_rows",), ()]


def test_a_prediction_that_is_not_sampled_counts_its_time_alone(version: Version) -> None:
    measures = Measures()
    monitor = Monitor(measures)
    monitor._next = np.inf
    monitor.observe(ran(version, monitor))
    assert sample(measures, "manygate_batch_rows_count") == 1
    assert sample(measures, "manygate_values_total", feature="item", kind="known") is None


def test_a_new_version_begins_anew(version: Version, exported: Exported) -> None:
    monitor = Monitor(Measures())
    first = monitor._drift_of(version)
    assert monitor._drift_of(version) is first
    assert monitor._drift_of(Version(exported.model, "two")) is not first
