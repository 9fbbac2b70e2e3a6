"""The section on models from outside, its sentence at the top, its rows in the forest plots and in the terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest

from documents import comparison, render
from gain_entries import entry
from manygate.cli.comparison_table import show_comparison
from manygate.report import headline, html_summary, panels
from manygate.report.outside import outside, outside_gain, outside_outcome
from sample_runs import TASKS, compared

NAMES = ("single_task", "shared_bottom", "omoe", "mmoe")


def document(with_failure: bool = False) -> dict[str, Any]:
    """LightGBM is 0.02 ahead of every network on click and 0.03 behind each on like."""
    tree = compared(TASKS[:2])
    tasks = {name: tree["results"]["mmoe"]["tasks"][name] for name in (("click",) if with_failure else ("click", "like"))}
    gains = {task: entry(-0.02 if task == "click" else 0.03).to_tree() for task in tasks}
    tree["baselines"] = {
        "lightgbm": {
            "name": "lightgbm",
            "settings": {"num_leaves": 31},
            "seconds": 3.0,
            "replicas": 8,
            "tasks": tasks,
            "valid": {},
            "chosen": {},
            "failures": [{"task": "like", "reason": "no training row has a label"}] if with_failure else [],
        }
    }
    tree["against_baselines"] = {
        "model": "mmoe",
        "looks": dict.fromkeys(NAMES, 8),
        "gains": {name: {"lightgbm": gains} for name in NAMES},
        "text": ["LightGBM is ahead of mmoe on click by 0.0200."],
    }
    return tree


def test_the_section_has_every_network_s_gain_and_the_baseline_s_score() -> None:
    view: Any = outside(comparison(document()))
    (table,) = view["tables"]
    assert table["title"] == "LightGBM"
    assert [task["name"] for task in table["tasks"]] == ["click", "like"]
    assert [row["name"] for row in table["rows"]] == list(NAMES)
    assert table["rows"][3]["cells"][0] == {"gain": "−0.0200", "joint": "−0.0350 to −0.0050", "css": "hurts"}
    assert table["rows"][3]["cells"][1]["css"] == "helps"
    assert table["settings"] == "num_leaves 31"
    assert table["inputs"] == ""


def test_the_inputs_that_validation_chose_are_named_with_their_replicas() -> None:
    tree = document()
    tree["baselines"]["lightgbm"] |= {
        "settings": {"inputs": ["statistics", "categories"]},
        "inputs": {"click": ["statistics", "categories", "statistics"], "like": ["categories"] * 3},
    }
    page = render(tree)
    assert "Its settings were: inputs statistics or categories." in page
    assert (
        "Validation chose these inputs: statistics (2 replicas) and categories (1 replica) for click and categories for like."
        in page
    )


def test_the_page_colours_the_gains_that_are_sure_and_labels_them_for_phones() -> None:
    cells = re.findall(r'<td class="(\w+)" data-label="(\w+) \(AUC 0[^)]+\)"><span class="gain">([^<]+)</span>', render(document()))
    assert cells == [("hurts", "click", "−0.0200"), ("helps", "like", "+0.0300")] * len(NAMES)


def test_a_comparison_without_baselines_has_no_section() -> None:
    plain = comparison(compared(TASKS[:2]))
    assert outside(plain) is None
    assert outside_gain(plain, "lightgbm", "click") is None
    assert "Models from outside" not in render(compared(TASKS[:2]))


def test_the_gain_over_single_task_is_the_turned_gain() -> None:
    found = outside_gain(comparison(document()), "lightgbm", "click")
    assert found is not None
    assert (found.gain, found.joint95, found.verdict) == (0.02, pytest.approx((0.005, 0.035)), "helps")
    assert outside_gain(comparison(document(with_failure=True)), "lightgbm", "like") is None


def test_a_gain_that_holds_for_its_task_alone_is_likely() -> None:
    assert [outside_outcome(entry(gain)) for gain in (0.02, 0.012, 0.0, -0.012)] == [
        "helps",
        "likely helps",
        "cannot tell",
        "likely hurts",
    ]


def test_page_and_summary_have_the_sentence_and_the_forest_its_row() -> None:
    tree = document(with_failure=True)
    for page in (render(tree), html_summary(comparison(tree))):
        assert "LightGBM is ahead of mmoe on click by 0.0200." in page
    assert "like: no training row has a label." in render(tree)
    forests: Any = panels.forests(comparison(tree))["panels"]
    assert ["lightgbm: +0.0200" in str(panel["chart"]) for panel in forests] == [True, False]


def test_the_headline_says_that_the_chosen_network_is_behind() -> None:
    plain = headline(comparison(compared(TASKS[:2])))
    assert headline(comparison(document())) == f"{plain} But mmoe is behind LightGBM on click."


def test_the_terminal_has_a_row_for_each_task_and_the_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(comparison(document()), "headline")
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.strip().startswith("lightgbm")]
    assert [(row[1], row[3], row[6:]) for row in rows] == [("auc", "+0.0200", ["+", "ahead"]), ("auc", "-0.0300", ["-", "behind"])]
    assert "LightGBM is ahead of mmoe on click by 0.0200." in printed
    show_comparison(comparison({**document(), "baseline": None, "verdicts": {}, "transfer": None}), "headline")
    assert "from outside" in capsys.readouterr().out
