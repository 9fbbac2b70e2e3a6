"""The document as the page shows it: tables whose every column shows its own number."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from documents import comparison, render
from manygate.report import view
from manygate.report.charts import Point
from manygate.report.view import history
from page_outline import Outline
from sample_runs import ARCHITECTURES, compared, trained


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return compared()


@pytest.fixture(scope="module")
def page(document: dict[str, Any]) -> str:
    return render(document)


def test_bands_by_students_t_stay_within_the_metric(document: dict[str, Any]) -> None:
    """Three replicas have a band, two have none, and none leaves what AUC can be."""
    odd = copy.deepcopy(document)
    values = ([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.6, 1.0], [0.1, 0.2, None, None])
    odd["results"]["mmoe"]["history"] = [
        {"epoch": epoch, "valid": {"click": row}, "train_loss": {"click": row}} for epoch, row in enumerate(values, start=1)
    ]
    first, second, third = history(comparison(odd), "mmoe", "click", "valid")
    half = 3.182446 * 0.12909944 / 2
    assert first.ci95 == pytest.approx((0.25 - half, 0.25 + half), rel=1e-5)
    assert second.ci95 == (0.0, 1.0)
    assert third == Point(3, pytest.approx(0.15), None)


@pytest.mark.parametrize(("going", "shown"), [(4, True), (3, False)])
def test_a_curve_ends_where_fewer_than_half_still_train(document: dict[str, Any], going: int, shown: bool) -> None:
    """Of 8 replicas 4 are half, and 3 are fewer."""
    odd = copy.deepcopy(document)
    values = lambda count: {"click": [0.5 + 0.01 * r if r < count else None for r in range(8)]}  # noqa: E731
    odd["results"]["mmoe"]["history"] = [
        {"epoch": epoch, "valid": values(count), "train_loss": values(count)} for epoch, count in ((1, 8), (2, going))
    ]
    for field in ("valid", "train_loss"):
        points = history(comparison(odd), "mmoe", "click", field)
        assert [point.epoch for point in points] == ([1, 2] if shown else [1])
        assert points[0].mean == pytest.approx(0.5 + 0.01 * 3.5)


def rows_of(page: str, *heads: str) -> dict[str, dict[str, str]]:
    """A table of the page, found by its first column heads: {first cell: {head: cell}}, tags taken out."""
    plain = lambda cell: " ".join(re.sub(r"<[^>]*>", " ", cell).split())  # noqa: E731
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        lines = [
            [plain(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL)]
            for line in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        ]
        if tuple(lines[0][: len(heads)]) == heads:
            return {line[0].removesuffix(" chosen"): dict(zip(lines[0], line, strict=True)) for line in lines[1:]}
    raise AssertionError(f"no table with heads {heads}")


def test_every_column_of_costs_shows_its_own_number(document: dict[str, Any]) -> None:
    odd, expected = copy.deepcopy(document), []
    for place, name in enumerate(ARCHITECTURES):
        costs = {"parameters": 1_000_001, "network_parameters": 2_000_002, "flops": 3_000_003, "replicas": 11}
        costs = {key: value + 100 * place for key, value in costs.items()}
        best = [20 + place, 30 + place]
        own = {"click": [3 + place, 4 + place], "buy": [50 + place]}
        stopped = {"best_epoch": {"click": best}, "own_best_epoch": own, "reason": f"reason {place}"}
        odd["results"][name] |= costs | {"seconds": 7.5 + place, "stopped": stopped}
        numbers = [f"1,000,{1 + 100 * place:03}", f"2,000,{2 + 100 * place:03}", f"3,000,{3 + 100 * place:03}"]
        epochs = [f"{20 + place}–{30 + place}", f"click {3 + place}–{4 + place}, buy {50 + place}"]
        expected.append([*numbers, f"{7.5 + place} s", str(11 + 100 * place), *epochs, f"reason {place}"])
    heads = ["parameters", "network parameters", "FLOPs a row", "training time", "replicas", "epoch kept"]
    heads += ["best epoch of each task", "why it stopped"]
    found = list(rows_of(render(odd), "architecture", "parameters").values())
    assert [[row[head] for head in heads] for row in found] == expected


def test_every_column_of_features_shows_its_own_number(document: dict[str, Any]) -> None:
    odd = copy.deepcopy(document)
    for place, feature in enumerate(odd["data"]["features"]):
        feature |= {"rows": 1000 + place, "columns": 50 + place}
        feature |= {"null_share": 0.11 + place / 100, "unknown_share": 0.71 + place / 100}
        feature |= {"kind": f"kind {place}", "bias": False, "note": f"note {place}"}
    found = rows_of(render(odd), "feature", "kind", "vocabulary")
    assert list(found) == [feature["name"] for feature in odd["data"]["features"]]
    for place, row in enumerate(found.values()):
        told = [row[head] for head in ("kind", "vocabulary", "inputs", "nulls", "why this kind")]
        assert told == [f"kind {place}", f"1,{place:03}", str(50 + place), f"{11 + place}.0 %", f"note {place}"]


def test_rows_and_labels_of_each_split_stand_in_their_own_column(document: dict[str, Any]) -> None:
    odd = copy.deepcopy(document)
    odd["data"]["rows"] = {"train": 5_000, "valid": 700, "test": 90}
    for place, task in enumerate(odd["data"]["tasks"].values()):
        for at, split in enumerate(("train", "valid", "test")):
            task[split] = {"rows": 100 * (at + 1) + place, "mean": 0.11 * (at + 1)}
        task["test"]["positives"] = 7 + place
    page = render(odd)
    assert "<span>5,790 rows</span>" in page, "the sum of the splits"
    found = rows_of(page, "labelled rows and mean label", "kind")
    for place, (task, row) in enumerate(found.items()):
        shown = [f"{11 * (at + 1)}.0 %" if task != "watch_time" else f"0.{11 * (at + 1)}00" for at in range(3)]
        cells = [f"{shown[at]} {100 * (at + 1) + place} rows" for at in range(3)]
        cells[2] += f" {7 + place} positives"
        heads = ["training 5,000 rows", "validation 700 rows", "test 90 rows"]
        assert [row[head] for head in heads] == cells


def test_numbers_of_the_document_are_on_the_page(document: dict[str, Any], page: str) -> None:
    text = Outline(page).text
    for name in ARCHITECTURES[1:]:
        for entry in document["verdicts"][name].values():
            assert f"{entry['gain']:+.4f}".replace("-", "−") in text
        assert f"{document['results'][name]['parameters']:,}" in text
    summary = document["results"]["mmoe"]["tasks"]["click"]
    assert f"{summary['metrics']['auc']['mean']:.4f}" in text
    assert f"ensemble {summary['ensemble']['auc']:.4f}" in text
    assert document["command"] in text
    assert f"learning_rate: {document['config']['learning_rate']}" in text
    assert "where: click == 1" in text
    assert "known in training, absent at serving" in text


def test_what_is_undefined_says_why(page: str) -> None:
    reason = "no user has both a positive and a negative row"
    assert f'title="{reason}">undefined</abbr>' in page
    assert f'<li id="note-4-1">undefined: {reason}</li>' in page


def test_well_known_architectures_have_a_fixed_style_and_others_one_of_their_own() -> None:
    tree = compared()
    for part in (tree["results"], tree["best"]["valid"]):
        part["mine:Own"] = part.pop("omoe")
    tree["architectures"][2] = "mine:Own"
    tree.update(verdicts={}, transfer=None, recommendation=None)
    styles, usual = view.styles(comparison(tree)), view.styles(comparison(compared()))
    for name in ("single_task", "shared_bottom", "mmoe"):
        assert styles[name] == usual[name]
    assert styles["mine:Own"] not in usual.values()
    heads = view.legend(comparison(compared()))
    assert [(head.name, head.chosen, head.baseline) for head in heads] == [
        ("single_task", False, True),
        ("shared_bottom", False, False),
        ("omoe", False, False),
        ("mmoe", True, False),
    ]


def test_facts_in_short_phrases() -> None:
    assert view.facts(comparison(compared())) == ["log/", "500,000 rows", "4 tasks", "4 architectures", "8 replicas each"]
    assert view.facts(comparison(trained())) == ["log/", "500,000 rows", "4 tasks", "mmoe", "1 replica"]
    mixed = compared()
    mixed["results"]["mmoe"]["replicas"] = 3
    assert view.facts(comparison(mixed))[-1] == "4 architectures"


def test_verdicts_or_scores_but_never_both() -> None:
    both = (view.verdict_table, view.score_table)
    assert [table(comparison(compared())) is None for table in both] == [False, True]
    assert [table(comparison(trained())) is None for table in both] == [True, False]


def test_a_cell_of_verdicts_has_a_word_a_symbol_and_both_numbers(document: dict[str, Any]) -> None:
    (mmoe, *_) = view.verdict_table(comparison(document))["rows"][0]["cells"]  # type: ignore[index]
    entry = document["verdicts"]["mmoe"]["click"]
    assert (mmoe.symbol, mmoe.word, mmoe.css, mmoe.reason) == ("▲", "helps", "helps", None)
    assert mmoe.gain == f"{entry['gain']:+.4f}"
    assert mmoe.interval == " to ".join(f"{bound:+.4f}".replace("-", "−") for bound in entry["ci95"])


def test_joint_events_have_a_table_of_their_own_after_the_tasks(document: dict[str, Any]) -> None:
    odd = copy.deepcopy(document)
    for result in odd["results"].values():
        own = {name: value for name, value in result["tasks"]["buy"].items() if name != "joint"}
        result["tasks"]["buy"]["joint"] = {**own, "name": "click_buy"}
    tables = view.results(comparison(odd))
    assert [(table["task"], table["kind"]) for table in tables] == [
        ("click", "binary"),
        ("like", "binary"),
        ("watch_time", "regression"),
        ("buy", "binary"),
        ("click_buy", "binary, on any row"),
    ]


def test_a_metric_that_the_table_lacks_has_a_label_alone() -> None:
    assert view.metric_head("auc")["label"] == "AUC"
    assert view.metric_head("auc")["meaning"]
    unknown = view.metric_head("hit_rate")
    assert (unknown["arrow"], unknown["meaning"]) == ("", "")
    assert unknown["label"]


def test_notes_of_an_inspection_are_no_alarms(document: dict[str, Any]) -> None:
    odd = copy.deepcopy(document)
    alarm = {"kind": "x", "title": "T", "message": "M.", "numbers": {}, "advice": "A."}
    alarms = [{**alarm, "severity": severity} for severity in ("note", "serious", "warning")]
    odd["results"]["mmoe"]["inspection"] = {"rows": 1234, "replicas": {"looked_at": 2, "of": 8}, "alarms": alarms}
    (found,) = (entry for entry in view.inspected(comparison(odd)) if entry["name"] == "mmoe")
    assert [entry.severity for entry in found["alarms"]] == ["serious", "warning"]  # type: ignore[attr-defined]
    assert found["seen"] == "1,234 rows, 2 replicas"
