"""Sections that are drawn: scales of forests, kept epochs, gates in words, calibration in numbers."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from documents import comparison, render
from manygate.report import panels
from manygate.results.summary import CalibrationBin
from page_outline import Outline
from sample_runs import compared, trained


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return compared()


def test_gates_are_read_for_the_user(document: dict[str, Any]) -> None:
    odd = copy.deepcopy(document)
    odd["results"]["mmoe"]["gates"] = [
        {"level": 0, "task": "click", "mean": [0.5, 0.5, 0.0], "sd": [0.1, 0.1, 0.0]},
        {"level": 0, "task": "buy", "mean": [0.4, 0.6, 0.0], "sd": [0.1, 0.1, 0.0]},
        {"level": 1, "task": "click", "mean": [1.0], "sd": [0.0]},
    ]
    text = Outline(render(odd)).text
    assert "All rows are equal: the tasks share one gate." in text
    assert "Most alike: click and buy, with 90 %" in text
    assert "Hardly used by any task: expert 3." in text
    assert "level 2 of 2" in text
    assert "a single expert" in text


def test_gates_that_see_some_experts_alone_are_read_so(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(document)
    shares = ([0.6, 0.0, 0.3, 0.1], [0.0, 0.5, 0.2, 0.3])
    changed["results"]["mmoe"]["gates"] = [
        {"level": 0, "task": task, "mean": list(mean), "sd": [0.1 if weight else 0.0 for weight in mean]}
        for task, mean in zip(("click", "like"), shares, strict=True)
    ]
    text = render(changed)
    assert "A dot is an expert that the gate does not see. An even split over the 3 seen would be 0.333 each." in text
    assert text.count(">·<") == 2


def test_calibrated_predictions_stand_beside_raw_ones() -> None:
    document = trained()
    task = next(name for name, one in document["results"]["mmoe"]["tasks"].items() if one["kind"] == "binary")
    raw = document["results"]["mmoe"]["tasks"][task]
    before = render(document)
    raw["calibrated"] = {
        "method": "isotonic",
        "metrics": {"log_loss": 0.123456, "ece": 0.001, "calibration": 1.0},
        "undefined": {},
        "calibration": [{"predicted": 0.25, "observed": 0.5, "rows": 10}],
    }
    section = render(document).partition('<section id="calibration">')[2].partition("</section>")[0]
    assert "after isotonic calibration" in section
    assert "isotonic" not in before
    row = section.partition("after isotonic calibration")[2].partition("</tr>")[0]
    cells = re.findall(r"<td>(.*?)</td>", row)
    assert cells == ["2.000", "0.2500", "0.1235"]


def test_totals_over_the_bins_by_hand() -> None:
    """Expected 10 x .1 + 30 x .5 = 16, observed 10 x .2 + 30 x .4 = 14; both gaps are .1."""
    bins = [CalibrationBin(predicted=0.1, observed=0.2, rows=10), CalibrationBin(predicted=0.5, observed=0.4, rows=30)]
    fit = panels._fit(bins)
    assert (fit["ratio"], fit["gap"]) == ("0.875", "0.1000")
    assert fit["bins"] == [("10.0 %", "20.0 %", "10"), ("50.0 %", "40.0 %", "30")]
    assert panels._fit([CalibrationBin(predicted=0.0, observed=0.0, rows=5)])["ratio"] == "undefined"


def test_the_epoch_kept_is_one_that_exists(document: dict[str, Any]) -> None:
    for epochs, expected in (([3, 5, 4], 4), ([3, 6], 3), ([7], 7)):
        odd = copy.deepcopy(document)
        odd["results"]["mmoe"]["stopped"]["best_epoch"] = {"click": epochs}
        assert panels._best_epoch(comparison(odd), "mmoe", "click") == expected
        assert panels._best_epoch(comparison(odd), "mmoe", "like") is None


def test_tasks_of_one_metric_share_a_scale_unless_one_would_flatten_the_others(document: dict[str, Any]) -> None:
    assert panels.forests(comparison(document))["shared"]
    odd = copy.deepcopy(document)
    odd["verdicts"]["mmoe"]["click"] |= {"gain": 0.5, "ci95": [0.4, 0.6]}
    assert not panels.forests(comparison(odd))["shared"]
    odd["verdicts"]["mmoe"]["click"] |= {"gain": None, "ci95": None}
    for name in ("shared_bottom", "omoe"):
        odd["verdicts"][name]["click"] |= {"gain": None, "ci95": None}
    drawn = panels.forests(comparison(odd))["panels"]
    assert [panel["task"] for panel in drawn] == ["like", "watch_time", "buy"]  # type: ignore[attr-defined]


def test_a_frontier_needs_two_architectures() -> None:
    assert [section["task"] for section in panels.frontier(comparison(compared()))] == ["click", "like", "watch_time", "buy"]
    assert panels.frontier(comparison(trained())) == []


def test_weights_of_gates_are_drawn_by_their_share_of_the_greatest() -> None:
    assert panels._weight(None, None, 0.5)["text"] == "–"
    assert panels._weight(0.0, 0.0, 0.5)["text"] == "·"
    assert panels._weight(0.0, 0.1, 0.5)["text"] == "0.00"
    full, half = panels._weight(0.5, 0.1, 0.5), panels._weight(0.25, None, 0.5)
    assert (full["heat"], full["deep"], full["sd"]) == ("0.920", True, "0.10")
    assert (half["heat"], half["deep"], half["sd"]) == ("0.470", False, "")
