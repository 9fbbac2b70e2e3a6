"""The drift of requests against the rows of the export."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from manygate.serving.drift import FEWEST, WINDOW, Drift
from manygate.serving.feeds import Feed, Inputs

MANIFEST: dict[str, Any] = {
    "inputs": [
        {"name": "age", "feature": "age", "kind": "dense", "type": "double"},
        {"name": "item", "feature": "item", "kind": "sparse", "type": "int64", "missing": 0},
    ],
    "missing": {"name": "missing", "features": ["item"]},
    "id_rows": {"name": "id_rows", "features": ["item"], "unseen": 1, "null": 0},
    "reference": {
        "rows": 8,
        "features": {
            "age": {"null": 0.0, "cuts": [10.0], "shares": [0.5, 0.5]},
            "item": {"null": 0.0, "unseen": 0.0, "rows": [2, 3], "shares": [0.5, 0.25, 0.25]},
            "tags": {"null": 0.5, "unseen": 0.5},
        },
        "outputs": {"click": {"cuts": [0.5], "shares": [0.75, 0.25]}},
    },
}


def add(drift: Drift, age: list[float], row: list[int], click: list[float]) -> None:
    rows = len(age)
    feed = Feed({"age": np.array(age), "item": np.zeros(rows, np.int64), "missing": np.zeros((1, 1), bool)}, rows)
    drift.add(feed, Inputs(MANIFEST), np.array(row)[:, None], {"click": np.array(click), "other": np.zeros(rows)})


def test_the_same_shares_have_no_drift() -> None:
    drift = Drift(MANIFEST)
    for _ in range(FEWEST // 4):
        add(drift, [5.0, 5.0, 20.0, 20.0], [2, 2, 3, 9], [0.1, 0.2, 0.3, 0.7])
    assert drift.indices() == {("feature", "age"): 0.0, ("feature", "item"): 0.0, ("output", "click"): 0.0}


def test_other_shares_have_the_index_of_their_definition() -> None:
    drift = Drift(MANIFEST)
    for _ in range(FEWEST // 4):
        add(drift, [5.0, 20.0, 20.0, 20.0], [2, 2, 3, 9], [0.7, 0.8, 0.9, 0.3])
    indices = drift.indices()
    assert indices["feature", "age"] == pytest.approx((0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5))
    assert indices["output", "click"] == pytest.approx((0.25 - 0.75) * np.log(0.25 / 0.75) + (0.75 - 0.25) * np.log(0.75 / 0.25))
    assert indices["feature", "item"] == 0.0


def test_few_values_have_no_index_and_nulls_are_no_values() -> None:
    drift = Drift(MANIFEST)
    add(drift, [np.nan] * FEWEST, [0] * FEWEST, [0.1] * FEWEST)
    assert list(drift.indices()) == [("output", "click")]


def test_older_requests_count_less_and_less() -> None:
    drift = Drift(MANIFEST)
    add(drift, [5.0] * WINDOW, [2] * WINDOW, [0.1] * WINDOW)
    before = drift.indices()["feature", "age"]
    for _ in range(3):
        add(drift, [20.0] * WINDOW, [2] * WINDOW, [0.1] * WINDOW)
    share = np.array([0.5**4, 0.5 + 0.25 + 0.125])
    share /= share.sum()
    expected = float(np.sum((share - 0.5) * np.log(share / 0.5)))
    assert drift.indices()["feature", "age"] == pytest.approx(expected)
    assert before > expected


def test_a_model_without_a_reference_has_no_drift() -> None:
    drift = Drift({**MANIFEST, "reference": None})
    add(drift, [5.0] * FEWEST, [2] * FEWEST, [0.1] * FEWEST)
    assert drift.indices() == {}
