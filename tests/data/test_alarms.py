"""Alarms that follow from counts: rare labels, unseen ids, indexes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from manygate.data.alarms import by_severity, data_alarms, unseen_shares
from manygate.data.rows import Rows
from manygate.results.evaluation import DataSummary, DataWarning
from manygate.schema import Feature, Schema, Task


def summary(test: dict[str, Any] | None = None, valid: dict[str, Any] | None = None, **feature: Any) -> DataSummary:
    plenty = {"rows": 5000, "mean": 0.5, "positives": 2500}
    features = [
        {"name": "item", "kind": "sparse", "bias": False, "rows": 9, "columns": None, "null_share": 0.0, "note": ""} | feature
    ]
    tasks = {"buy": {"train": plenty, "valid": valid or plenty, "test": test or plenty}}
    return DataSummary.model_validate({"log": "log", "rows": {}, "tasks": tasks, "features": features, "warnings": []})


def test_plenty_of_rows_and_seen_ids_raise_nothing() -> None:
    assert data_alarms(summary(unknown_shares={"train": 0.9, "valid": 0.049, "test": 0.0})) == []


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            {"rows": 9000, "mean": 0.01, "positives": 57},
            "task 'buy' has 57 positives among 9,000 labelled rows on test: this",
        ),
        (
            {"rows": 9000, "mean": 0.99, "positives": 8901},
            "task 'buy' has 99 negatives among 9,000 labelled rows on test: this",
        ),
        ({"rows": 99, "mean": 3.5}, "task 'buy' has 99 labelled rows on test: this task cannot be judged. Give"),
    ],
)
def test_a_task_with_few_rows_of_a_label_cannot_be_judged(labels: dict[str, Any], said: str) -> None:
    (alarm,) = data_alarms(summary(test=labels))
    assert (alarm.level, alarm.task) == ("serious", "buy")
    assert alarm.text.startswith(said)
    (warning,) = data_alarms(summary(valid=labels))
    assert warning.level == "warning"
    assert "on validation: its best epoch is chosen largely by luck" in warning.text


def test_a_hundred_of_each_label_is_enough_and_the_width_is_told() -> None:
    assert data_alarms(summary(test={"rows": 200, "mean": 0.5, "positives": 100})) == []
    (alarm,) = data_alarms(summary(test={"rows": 300, "mean": 0.1, "positives": 36}))
    assert "AUC of 0.6 is known to about ± 0.09." in alarm.text


@pytest.mark.parametrize(
    ("valid", "test", "level"), [(0.05, 0.0, "note"), (0.12, 0.2, "warning"), (0.5, 0.41, "serious"), (0.52, 0.48, "serious")]
)
def test_unseen_ids_are_told_for_each_part(valid: float, test: float, level: str) -> None:
    (alarm,) = data_alarms(summary(unknown_shares={"train": 0.3, "valid": valid, "test": test}))
    assert (alarm.level, alarm.column) == (level, "item")
    assert f"{100 * valid:.0f} % of validation rows" in alarm.text
    assert ("test rows" in alarm.text) == (test >= 0.05)
    assert "Of the training rows, 30 % are so." in alarm.text


@pytest.mark.parametrize(("valid", "test"), [(0.1, 0.45), (0.45, 0.1), (0.0, 0.1)])
def test_validation_and_test_that_differ_in_unseen_ids_are_told(valid: float, test: float) -> None:
    _, alarm = data_alarms(summary(unknown_shares={"train": 0.0, "valid": valid, "test": test}))
    assert (alarm.level, alarm.column) == ("warning", "item")
    assert f"{100 * valid:.0f} % of the validation rows and {100 * test:.0f} % of the test rows have unseen ids" in alarm.text


def test_of_a_bag_the_ids_are_counted() -> None:
    alarms = data_alarms(summary(kind="bag", unknown_shares={"train": 0.01, "valid": 0.1, "test": 0.3}))
    assert "10 % of validation ids and 30 % of test ids are ids that training has not seen" in alarms[0].text
    assert "Of the training ids, 1 % are so." in alarms[0].text
    assert "30 % of the test ids have unseen ids" not in alarms[1].text


def test_an_index_in_a_schema_is_told() -> None:
    for name in ("__index_level_0__", "Unnamed: 0", " "):
        (alarm,) = data_alarms(summary(name=name))
        assert "numbers the rows" in alarm.text


def test_shares_of_unseen_ids_by_hand() -> None:
    schema = Schema(
        features=(Feature(name="a", kind="sparse"), Feature(name="b", kind="dense"), Feature(name="t", kind="bag")),
        tasks=(Task(name="click"),),
    )
    label_BT = np.zeros((4, 1), dtype=np.float32)
    bag = (np.array([1, 2, 3, 1, 1]), np.array([0, 2, 2, 3, 5]))
    rows = Rows(np.array([[1], [0], [3], [2]], dtype=np.int32), np.zeros((4, 1), dtype=np.float32), [bag], label_BT, label_BT)
    assert unseen_shares(schema, rows) == {"a": 0.25, "t": 0.6}


def test_the_serious_ones_come_first_and_the_order_stays_else() -> None:
    notes = [DataWarning(level="note", text="n"), "w1", DataWarning(level="serious", text="s"), "w2"]
    assert [str(entry) for entry in by_severity(notes)] == ["s", "w1", "w2", "n"]
