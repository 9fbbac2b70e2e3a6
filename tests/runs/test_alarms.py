"""Alarms about what a model reached on test."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.config import RunConfig
from manygate.data.leaks import Separation
from manygate.results.evaluation import FeatureSummary, RunResult
from manygate.results.summary import TaskReport
from manygate.runs.alarms import id_dropout_alarms, result_alarms
from manygate.schema import Feature, Schema, Task


def result(**metrics: float | None) -> RunResult:
    report: dict[str, Any] = {"kind": "binary", "rows": 10, "metrics": {}, "ensemble": metrics, "undefined": {}}
    return RunResult.model_construct(tasks={"click": TaskReport.model_validate(report)})


LEAKY = [
    Separation("outcome", "click", "binary", 0.9999),
    Separation("other", "buy", "binary", 1.0),
    Separation("weak", "click", "binary", 0.59),
]


@pytest.mark.parametrize(
    ("auc", "level"), [(0.99, None), (0.9901, "note"), (0.9947, "note"), (0.999, "note"), (0.99901, "serious"), (1.0, "serious")]
)
def test_a_test_auc_that_is_too_good(auc: float, level: str | None) -> None:
    alarms = result_alarms({"mmoe": result(auc=auc)}, LEAKY)
    assert [alarm.level for alarm in alarms] == ([level] if level else [])
    for alarm in alarms:
        assert alarm.task == "click"
        assert alarm.column == ("outcome" if level == "serious" else None)
        assert "outcome (AUC 0.9999)" in alarm.text
        assert "other" not in alarm.text
        assert "weak" not in alarm.text
        assert f"the AUC on test is {int(auc * 1e4) / 1e4:.4f} (mmoe)" in alarm.text


def test_the_architectures_share_one_alarm() -> None:
    (alarm,) = result_alarms({"mmoe": result(auc=0.9995), "ple": result(auc=0.995), "omoe": result(auc=0.7)})
    assert alarm.level == "serious"
    assert "0.9995 (mmoe) and 0.9950 (ple)" in alarm.text
    assert "omoe" not in alarm.text


@pytest.mark.parametrize(("entropy", "raised"), [(1.0, False), (1.001, True), (0.7, False), (None, False)])
def test_worse_than_the_base_rate(entropy: float | None, raised: bool) -> None:
    alarms = result_alarms({"mmoe": result(auc=0.6, normalised_entropy=entropy)})
    assert [alarm.level for alarm in alarms] == (["serious"] if raised else [])
    assert all("worse than the base rate" in alarm.text for alarm in alarms)


def test_a_calibrated_model_is_judged_after_its_calibrator() -> None:
    before = result(auc=0.6, normalised_entropy=1.4)
    tree = before.tasks["click"].to_tree()
    tree["calibrated"] = {"method": "platt", "metrics": {"normalised_entropy": 0.9}, "undefined": {}, "calibration": []}
    after = RunResult.model_construct(tasks={"click": TaskReport.model_validate(tree)})
    assert result_alarms({"mmoe": before})
    assert result_alarms({"mmoe": after}) == []


@pytest.mark.parametrize(
    ("settings", "own", "shares", "remedy"),
    [
        ({"id_dropout": 0.0}, None, (0.0, 0.2), "Switch it on with --id-dropout 1."),
        ({}, 0.0, (0.0, 0.52), "Take id_dropout 0 out of the schema."),
        ({}, None, (0.0, 0.52), None),
        ({"id_dropout": 0.0}, 3.0, (0.0, 0.52), None),
        ({"id_dropout": 0.0, "id_dropouts": (0.0, 5.0)}, None, (0.0, 0.52), None),
        ({"id_dropout": 0.0, "replica_id_dropouts": (0.0, 5.0), "replicas": 2}, None, (0.0, 0.52), None),
        ({"replica_id_dropouts": (0.0,), "replicas": 2}, None, (0.0, 0.52), "Switch it on with --id-dropout 1."),
        ({"id_dropout": 0.0}, None, (0.0, 0.19), None),
        ({"id_dropout": 0.0}, None, (0.6, 0.52), None),
    ],
)
def test_unseen_ids_without_id_dropout(
    settings: dict[str, Any], own: float | None, shares: tuple[float, float], remedy: str | None
) -> None:
    schema = Schema(features=(Feature(name="item", kind="sparse", id_dropout=own),), tasks=(Task(name="click"),))
    parts = dict(zip(("train", "valid"), shares, strict=True))
    feature = FeatureSummary(
        name="item", kind="sparse", bias=False, rows=9, columns=None, null_share=0.0, unknown_shares=parts, note=""
    )
    alarms = id_dropout_alarms(RunConfig.build(settings), schema, [feature])
    assert [(alarm.level, alarm.column) for alarm in alarms] == ([("warning", "item")] if remedy else [])
    assert all(alarm.text.endswith(str(remedy)) for alarm in alarms)
