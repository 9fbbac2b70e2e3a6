"""The section of a training day by day."""

from __future__ import annotations

from typing import Any

from documents import comparison, headline, render
from manygate.report.by_day import by_day, day_cells, day_heads
from manygate.results.evaluation import DayReport
from sample_runs import TASKS, compared, trained


def _day(day: str, auc: float | None, rows: int = 1000, cold: float = 0.1, new: int = 7) -> dict[str, Any]:
    metrics = {"auc": {"mean": auc, "sd": None, "ci95": None, "values": [auc]}}
    undefined = {} if auc else {"auc": "all labels are 0"}
    task = {"kind": "binary", "rows": rows, "metrics": metrics, "ensemble": {"auc": auc}, "undefined": undefined}
    return {
        "day": day,
        "rows": rows,
        "trained_rows": 500,
        "cold_share": cold,
        "new_ids": {"item": new, "user": 1},
        "tasks": {"click": task},
    }


DAYS = [_day("2026-01-02", 0.5), _day("2026-01-03", None, rows=3000, cold=0.3, new=0), _day("2026-01-04", 0.7, rows=2000)]


def test_a_row_for_each_day_and_the_mean_of_the_days_last() -> None:
    days = [DayReport.model_validate(day) for day in DAYS]
    assert day_heads(days) == ["day", "rows", "rows with an unseen id", "ids that got a row the day before", "click AUC"]
    assert day_cells(days) == [
        ["2026-01-02", "1,000", "10.0 %", "8", "0.5000"],
        ["2026-01-03", "3,000", "30.0 %", "1", "undefined"],
        ["2026-01-04", "2,000", "10.0 %", "8", "0.7000"],
        ["mean of the days", "2,000", "20.0 %", "6", "0.6000"],
    ]


def test_the_section_is_there_after_a_training_day_by_day_alone() -> None:
    tree = compared(TASKS[:1])
    assert by_day(comparison(tree)) == []
    assert 'id="days"' not in render(tree)
    tree["results"]["mmoe"]["days"] = DAYS
    (table,) = by_day(comparison(tree))
    assert table["notes"] == ["2026-01-03, click: all labels are 0"]
    page = render(tree)
    assert "undefined on 2026-01-03, click: all labels are 0" in page
    assert page.count("2026-01-04") == 1


def test_the_headline_names_the_last_day() -> None:
    tree = trained(TASKS[:1])
    assert headline(tree).endswith("on the test rows.")
    tree["results"]["mmoe"]["days"] = DAYS
    assert headline(tree).endswith(f"on the last day, {DAYS[-1]['day']}.")
