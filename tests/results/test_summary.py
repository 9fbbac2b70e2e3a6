"""Metrics over replicas, reports of tasks and gains, as records."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from manygate.results.summary import CalibrationBin, Gain, JointGain, MetricGain, MetricSummary, Scores, TaskReport

SUMMARY = {"mean": 0.5, "sd": None, "ci95": None, "values": [0.5]}
SCORES: dict[str, Any] = {
    "kind": "regression",
    "rows": 3,
    "metrics": {"r2": SUMMARY},
    "ensemble": {"r2": None},
    "undefined": {"r2": "every label is 2"},
}
GAIN = {"gain": 0.1, "ci95": [0.05, 0.15], "sd_replicas": 0.01, "se_test": 0.02, "verdict": "helps"}


def test_an_interval_is_a_pair_and_becomes_a_list_again() -> None:
    summary = MetricSummary.model_validate({**SUMMARY, "ci95": [0.4, 0.6]})
    assert summary.ci95 == (0.4, 0.6)
    assert summary.to_tree() == {**SUMMARY, "ci95": [0.4, 0.6]}
    for wrong in ([0.4], [0.4, 0.5, 0.6], [None, 0.6]):
        with pytest.raises(ValidationError, match="ci95"):
            MetricSummary.model_validate({**SUMMARY, "ci95": wrong})


def test_every_field_of_a_summary_is_needed_be_it_null() -> None:
    for name in SUMMARY:
        with pytest.raises(ValidationError, match=name):
            MetricSummary.model_validate({key: value for key, value in SUMMARY.items() if key != name})


def test_calibration_is_absent_for_a_regression_and_present_though_empty_for_a_binary_task() -> None:
    assert Scores.model_validate(SCORES).to_tree() == SCORES
    binary = {**SCORES, "kind": "binary", "calibration": []}
    assert Scores.model_validate(binary).to_tree() == binary
    with pytest.raises(ValidationError, match="kind"):
        Scores.model_validate({**SCORES, "kind": "ranking"})


def test_a_task_report_holds_its_joint_event_and_its_calibrated_ensemble() -> None:
    bins = [{"predicted": 0.25, "observed": 0.5, "rows": 4}]
    calibrated = {"method": "platt", "metrics": {"auc": 0.7}, "undefined": {}, "calibration": bins}
    tree = {**SCORES, "kind": "binary", "calibration": bins, "joint": {**SCORES, "name": "click_buy"}, "calibrated": calibrated}
    report = TaskReport.model_validate(tree)
    assert report.to_tree() == tree
    assert report.joint is not None
    assert report.joint.name == "click_buy"
    assert report.calibrated is not None
    assert report.calibrated.calibration == [CalibrationBin(predicted=0.25, observed=0.5, rows=4)]
    assert TaskReport.model_validate(SCORES).joint is None


@pytest.mark.parametrize(
    ("kind", "more"),
    [(Gain, {}), (MetricGain, {"metric": "auc"}), (JointGain, {"joint95": [0.0, 0.2], "clusters": 7})],
)
def test_gains_and_what_each_kind_adds(kind: type[Gain], more: dict[str, Any]) -> None:
    assert kind.model_validate({**GAIN, **more}).to_tree() == {**GAIN, **more}
    undefined = {**GAIN, "gain": None, "ci95": None, "verdict": "cannot tell", "reason": "no positive row", **more}
    assert kind.model_validate(undefined).to_tree() == undefined
    with pytest.raises(ValidationError, match="verdict"):
        kind.model_validate({**GAIN, **more, "verdict": "likely helps"})
    for name in more:
        with pytest.raises(ValidationError, match=name):
            kind.model_validate(GAIN)
