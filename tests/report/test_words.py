"""The sentence that answers the question, and what it counts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from documents import comparison, headline, render
from manygate.report import words
from manygate.schema import Task
from page_outline import Outline
from sample_runs import ARCHITECTURES, compared, trained


def outcomes(words: str, **changes: Any) -> dict[str, Any]:
    """A comparison whose chosen architecture has these verdicts: h(elps), x (hurts), c(annot tell)."""
    names = {"h": "helps", "x": "hurts", "c": "cannot tell"}
    tasks = tuple(Task(name=f"t{at}") for at in range(len(words)))
    document = compared(tasks, replicas=2)
    for at, word in enumerate(words):
        document["verdicts"]["mmoe"][f"t{at}"]["verdict"] = names[word]
    del document["transfer"], document["recommendation"]
    return {**document, **changes}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hhcc", "Sharing helps 2 of 4 tasks with mmoe; none is clearly hurt."),
        ("hhh", "Sharing helps all 3 tasks with mmoe."),
        ("hxc", "Sharing helps 1 of 3 tasks with mmoe and hurts 1 (t1)."),
        ("xxxxh", "Sharing helps 1 of 5 tasks with mmoe and hurts 4."),
        ("xc", "Sharing helps none of 2 tasks with mmoe and hurts 1 (t0)."),
        ("ccc", "Sharing makes no clear difference to any of 3 tasks with mmoe."),
        ("h", "Sharing helps t0 with mmoe."),
        ("x", "Sharing hurts t0 with mmoe."),
        ("c", "Sharing makes no clear difference to t0 with mmoe."),
    ],
)
def test_headline_follows_the_verdicts_of_the_chosen_architecture(words: str, expected: str) -> None:
    assert headline(outcomes(words)) == expected


def test_headline_without_the_usual_choice() -> None:
    alone = outcomes("hc")
    alone["best"] = {**alone["best"], "architecture": "single_task"}
    assert headline(alone) == "Keep one model per task: single_task did best on validation."
    other = outcomes("hc", baseline="shared_bottom")
    assert headline(other) == "mmoe helps 1 of 2 tasks against shared_bottom; none is clearly hurt."
    assert headline(outcomes("hc", verdicts={}, baseline=None)) == "mmoe did best on validation, of 4 architectures."
    assert headline(outcomes("hc", best=None)).count("Sharing") == 3
    nothing = outcomes("hc", best={**alone["best"], "architecture": None})
    assert "validation rows alone" not in render(nothing)
    assert headline({**nothing, "verdicts": {}}) == "4 architectures were trained; validation chose none of them."


def test_headline_counts_what_is_beyond_doubt_for_all_tasks_together() -> None:
    document = compared()
    assert headline(document) == document["recommendation"]["headline"], "the advice has the answer"
    document["recommendation"] = None
    assert headline(document) == "Sharing helps 2 of 4 tasks with mmoe; none is clearly hurt."
    joint = document["transfer"]["gains"]["mmoe"]["click"]["auc"]
    joint["joint95"] = [-0.0001, joint["joint95"][1]]
    assert headline(document) == "Sharing helps 1 of 4 tasks with mmoe; none is clearly hurt."
    assert "△ likely helps" in Outline(render(document)).text


def test_headline_of_one_run() -> None:
    assert re.fullmatch(r"mmoe reaches AUC 0\.\d{3} for click on the test rows\.", headline(trained((Task(name="click"),))))
    many = headline(trained())
    assert "AUC from 0." in many
    assert "R² 0." in many
    undefined = trained((Task(name="click"),))
    undefined["results"]["mmoe"]["tasks"]["click"]["metrics"]["auc"] = {"mean": None, "sd": None, "ci95": None, "values": []}
    assert "undefined" in headline(undefined)


def test_architectures_and_tasks_are_those_that_have_results() -> None:
    tree = compared()
    del tree["results"]["omoe"]
    del tree["results"]["single_task"]["tasks"]["buy"]
    document = comparison({**tree, "verdicts": {}, "transfer": None})
    assert words.architectures(document) == ["single_task", "shared_bottom", "mmoe"]
    assert words.task_names(document) == ["click", "like", "watch_time", "buy"], "a task that the first lacks comes last"
    assert words.task_kind(document, "watch_time") == "regression"
    assert words.task_kind(document, "buy") == "binary"


def test_the_main_metric_is_that_of_the_verdicts_else_that_of_the_kind() -> None:
    tree = compared()
    assert words.main_metric(comparison(tree), "watch_time") == "r2"
    for verdicts in tree["verdicts"].values():
        verdicts["click"]["metric"] = "gauc"
    assert words.main_metric(comparison(tree), "click") == "gauc"
    tree["verdicts"] = {}
    assert [words.main_metric(comparison(tree), task) for task in ("click", "watch_time")] == ["auc", "r2"]


def test_the_chosen_architecture_is_judged_first() -> None:
    document = comparison(compared())
    assert words.chosen(document) == "mmoe"
    assert words.judged(document) == ["mmoe", "shared_bottom", "omoe"]
    assert words.judged(comparison(trained())) == []
    assert words.chosen(comparison(trained())) is None
    assert ARCHITECTURES == ("single_task", "shared_bottom", "omoe", "mmoe")


@pytest.mark.parametrize(
    ("joint95", "expected"),
    [([0.001, 0.003], "helps"), ([-0.001, 0.003], "likely helps"), ([-0.002, -0.001], "helps"), (None, "likely helps")],
)
def test_a_verdict_is_likely_where_the_joint_interval_holds_zero(joint95: Any, expected: str) -> None:
    tree = compared()
    tree["verdicts"]["mmoe"]["click"]["verdict"] = "helps"
    tree["transfer"]["gains"]["mmoe"]["click"]["auc"]["joint95"] = joint95
    assert words.outcome(comparison(tree), "mmoe", "click") == expected
    tree["verdicts"]["mmoe"]["click"]["verdict"] = "cannot tell"
    assert words.outcome(comparison(tree), "mmoe", "click") == "cannot tell"
