"""What people read on stdout beside a comparison: alarms, and metrics apart for known and unseen ids."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.cli.terminal import show_alarms, show_cold_start, show_days
from manygate.results.evaluation import DataWarning, DayReport
from manygate.results.summary import TaskReport


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_alarms_stand_under_a_count_with_their_level(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    warnings = [DataWarning(level="serious", text="feature 'outcome' alone separates the label of task 'buy'; leave it out")]
    warnings += [DataWarning(level="note", text="a [bold]note[/bold]"), DataWarning(level="note", text="another")]
    show_alarms(warnings)
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert shown == [
        "",
        "1 serious alarm, 2 notes",
        "serious  feature 'outcome' alone separates the label of task",
        "         'buy'; leave it out",
        "note     a [bold]note[/bold]",
        "note     another",
    ]


def test_alarms_beside_json_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show_alarms([DataWarning(level="serious", text="a leak")], to_stderr=True)
    show_alarms([])
    out, err = capsys.readouterr()
    assert out == ""
    assert "a leak" in err


def test_metrics_apart_for_known_and_unseen_ids(capsys: pytest.CaptureFixture[str]) -> None:
    def part(rows: int, auc: float) -> dict[str, Any]:
        metrics = {
            name: {"mean": value, "sd": None, "ci95": None, "values": [value]} for name, value in (("auc", auc), ("log_loss", 0.2))
        }
        return {"rows": rows, "positives": 7, "weight_share": 0.5, "pair_share": 0.25, "metrics": metrics, "undefined": {}}

    mixed = {"pair_share": 0.5, "auc": part(0, 0.7)["metrics"]["auc"]}
    with_cold = {"cold_start": {"warm": part(120, 0.8), "cold": part(60, 0.6), "mixed": mixed}}
    scores = {"kind": "binary", "rows": 180, "metrics": {}, "ensemble": {}, "undefined": {}}
    show_cold_start({"buy": TaskReport.model_validate(scores)})
    assert capsys.readouterr().out == ""
    show_cold_start({"click": TaskReport.model_validate(scores | with_cold)})
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["click", "known", "ids", "alone", "120", "7", "AUC", "0.8000", "log", "loss", "0.2000"] in words
    assert ["click", "an", "unseen", "id", "60", "7", "AUC", "0.6000", "log", "loss", "0.2000"] in words
    assert ["click", "one", "of", "each", "AUC", "0.7000"] in words


def test_each_day_and_the_mean_of_the_days(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"auc": {"mean": 0.7, "sd": None, "ci95": None, "values": [0.7]}}
    task = {"kind": "binary", "rows": 9, "metrics": metrics, "ensemble": {}, "undefined": {}}
    day = {"day": "2026-01-02", "rows": 9, "trained_rows": 5, "cold_share": 0.5, "new_ids": {"item": 3}, "tasks": {"click": task}}
    show_days([DayReport.model_validate(day)])
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["2026-01-02", "9", "50.0", "%", "3", "0.7000"] in words
    assert ["mean", "of", "the", "days", "9", "50.0", "%", "3", "0.7000"] in words
