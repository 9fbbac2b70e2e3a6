"""The section on unseen ids."""

from __future__ import annotations

from typing import Any

from documents import comparison, render
from manygate.report.cold_start import cold_start, cold_start_rows
from manygate.results.summary import ColdStart
from sample_runs import TASKS, compared


def summary(mean: float | None, half: float = 0) -> dict[str, Any]:
    return {"mean": mean, "sd": None, "ci95": [mean - half, mean + half] if mean and half else None, "values": [mean]}


def apart(cold: float | None = 0.61) -> dict[str, Any]:
    """A tenth of 2,000 rows is cold."""

    def part(rows: int, positives: int, share: float, pairs: float, auc: float | None, half: float = 0) -> dict[str, Any]:
        metrics = {"auc": summary(auc, half), "log_loss": summary(0.25)}
        return {
            "rows": rows,
            "positives": positives,
            "weight_share": share,
            "pair_share": pairs,
            "metrics": metrics,
            "undefined": {} if auc else {"auc": "all labels are 1"},
        }

    mixed = {"pair_share": 0.18, "auc": summary(0.71)}
    return {"warm": part(1_800, 90, 0.9, 0.81, 0.8), "cold": part(200, 10, 0.1, 0.01, cold, 0.02), "mixed": mixed}


def document(**more: Any) -> dict[str, Any]:
    tree = compared(TASKS[:2])
    tree["results"]["mmoe"]["tasks"]["click"]["cold_start"] = apart(**more)
    tree["data"]["features"][0]["unknown_shares"] = {"train": 0.0, "valid": 0.25, "test": 0.5}
    return tree


def test_rows_as_texts():
    rows = cold_start_rows(ColdStart.model_validate(apart()))
    assert rows == [
        ("known ids alone", "1,800", "90", "AUC 0.8000", "log loss 0.2500"),
        ("an unseen id", "200", "10", "AUC 0.6100 ± 0.0200", "log loss 0.2500"),
        ("one of each", "", "", "AUC 0.7100", ""),
    ]


def test_a_table_of_each_task_with_unseen_ids():
    found = cold_start(comparison(document()))
    assert [table["task"] for table in found["tables"]] == ["click"]
    (table,) = found["tables"]
    assert [row["name"] for row in table["rows"]] == ["mmoe"]
    counts = [["1,800 rows", "90 positives"], ["200 rows", "10 positives"], ["18.0 % of the pairs"]]
    titles = ["rows with known ids alone", "rows with an unseen id", "pairs: one of each"]
    assert [head["title"] for head in table["heads"]] == titles
    assert [head["counts"] for head in table["heads"]] == counts
    assert [cell["main"] for cell in table["rows"][0]["cells"]] == [("0.8000", ""), ("0.6100", "± 0.0200"), ("0.7100", "")]
    assert [(feature["name"], feature["cells"]) for feature in found["features"]] == [("user_id", ["0 %", "25.0 %", "50.0 %"])]


def test_a_chosen_id_dropout_is_told_with_the_scores():
    choice = {"chosen": 5.0, "valid": {"0": summary(1.25), "5": summary(1.5)}}
    tree = compared(TASKS[:2]) | {"id_dropout": {"mmoe": choice}}
    page = render(tree)
    assert "mmoe: 5 (validation scores: 1.2500 with 0 and 1.5000 with 5)" in page
    assert "These are the metrics on test" not in page


def test_the_page_has_the_section_only_where_rows_have_unseen_ids():
    page = render(document(cold=None))
    assert 'id="unseen"' in page
    assert 'data-label="rows with known ids alone (1,800 rows, 90 positives)"' in page
    assert '<span class="sub">log loss 0.2500</span>' in page
    assert 'title="all labels are 1">undefined' in page
    assert 'href="#unseen"' in page
    plain = render(compared(TASKS[:2]))
    assert 'id="unseen"' not in plain
    assert 'href="#unseen"' not in plain
