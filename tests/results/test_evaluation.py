"""What a run reports about its data and about a trained architecture, as records."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from documents import filled
from manygate.results.evaluation import CalibrationReport, DataSummary, Epoch, LogEvaluation, RunResult

FEATURE = {"name": "user", "kind": "sparse", "bias": False, "rows": 12, "columns": None, "null_share": 0.0, "note": ""}
DATA: dict[str, Any] = {
    "log": "log/",
    "rows": {"train": 6, "test": 2},
    "tasks": {"click": {"train": {"rows": 6, "mean": 0.5}, "test": {"rows": 0, "mean": None}}},
    "features": [FEATURE, {**FEATURE, "name": "age", "unknown_share": None}],
    "warnings": ["few rows"],
}


def test_a_share_of_unknown_values_is_absent_or_null_as_it_was_given() -> None:
    data = DataSummary.model_validate(DATA)
    assert data.to_tree() == {**DATA, "warnings": [{"level": "warning", "text": "few rows"}]}
    assert [feature.unknown_share for feature in data.features] == [None, None]
    assert data.tasks["click"]["test"].mean is None


def test_an_epoch_has_a_value_a_replica_and_null_where_one_has_stopped() -> None:
    tree = {
        "epoch": 2,
        "step": 18,
        "train_loss": {"click": [0.5, None]},
        "valid": {"click": [0.7, None]},
        "weights": {"click": [1.0, 1.0]},
        "gates": [[[0.25, 0.75]]],
    }
    epoch = Epoch.model_validate(tree)
    assert epoch.to_tree() == tree
    assert epoch.valid["click"] == [0.7, None]
    with pytest.raises(ValidationError, match="gates"):
        Epoch.model_validate({**tree, "gates": [[0.25, 0.75]]})


def test_a_run_s_widths_are_numbers_a_list_of_numbers_or_lists_by_task() -> None:
    widths = {"expert_hidden": [5, 4], "level_hidden": None, "task_expert_hidden": [[7, 5], [5]]}
    run = filled(RunResult, {"architecture": "ple", "widths": widths})
    assert run.widths["task_expert_hidden"] == ((7, 5), (5,))
    assert run.to_tree()["widths"] == widths
    assert run.to_tree()["architecture"] == "ple"


def test_divergence_and_best_epochs_are_records() -> None:
    tree = {"stopped": {"best_epoch": {"click": [3, 1]}, "reason": "patience"}, "diverged": [{"replica": 1, "step": 8}]}
    run = filled(RunResult, tree)
    assert run.stopped.best_epoch["click"] == [3, 1]
    assert [(lost.replica, lost.step) for lost in run.diverged] == [(1, 8)]


def test_an_evaluation_of_a_log_has_a_fusion_only_where_one_was_judged() -> None:
    tree: dict[str, Any] = {"log": "a.parquet", "rows": 3, "replicas": 2, "interval_note": None, "tasks": {}, "warnings": []}
    assert LogEvaluation.model_validate(tree).to_tree() == tree
    ranking = {"formula": "click", "version": 1, "visits": 2, "objectives": {}, "undefined": {"click/ndcg": "no click"}}
    found = LogEvaluation.model_validate({**tree, "fusion": ranking})
    assert found.fusion is not None
    assert found.fusion.undefined == {"click/ndcg": "no click"}
    with pytest.raises(ValidationError, match="visits"):
        LogEvaluation.model_validate({**tree, "fusion": {}})


def test_a_report_of_a_fit_may_have_no_name_of_a_log() -> None:
    assert CalibrationReport(log=None, rows=4, tasks={}, warnings=[]).to_tree() == {
        "log": None,
        "rows": 4,
        "tasks": {},
        "warnings": [],
    }
