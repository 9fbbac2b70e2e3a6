"""Who pays for sharing: the advice, the flags, and every gain behind them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from documents import comparison, html_summary, render
from manygate.metrics.table import metric_label
from manygate.report import seesaw
from manygate.results.summary import JointGain
from manygate.text import interval, number
from page_outline import Outline
from sample_runs import TASKS, compared, trained


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return compared()


@pytest.fixture(scope="module")
def page(document: dict[str, Any]) -> str:
    return render(document)


def test_advice_comes_first_and_flags_stand_in_the_table(document: dict[str, Any], page: str) -> None:
    outline = Outline(page)
    advice = document["recommendation"]
    assert outline.text.index(advice["text"]) < outline.text.index("a model per task")
    assert all(reason in outline.text for reason in advice["reasons"])
    for mark in ("negative transfer", "undoes the harm of shared_bottom", "worse log loss"):
        assert re.search(rf'<span class="mark \w+">{mark}', page), mark
    for text in (advice["text"], *advice["could_change"]):
        assert text in html_summary(document)


def test_who_pays_shows_every_seesaw_gain_and_difference(document: dict[str, Any], page: str) -> None:
    found = document["transfer"]
    section = page[page.index('<section id="seesaw">') : page.index('<section id="results">')]
    sure = [flag for flag in found["seesaws"] if flag["sure"]]
    assert len(sure) == 2
    assert f"{len(found['seesaws']) - len(sure)} possible seesaws" in section
    gains = [gain for of_model in found["gains"].values() for task in of_model.values() if "auc" in task for gain in task.values()]
    gains += [gain for pair in found["differences"] for gain in pair["tasks"].values()]
    for gain in gains:
        assert number(gain["gain"], signed=True) in section
        assert interval(gain["joint95"]) in section
    assert re.findall(r"<figcaption>([^<]+) <small>seesaw</small>", section) == ["like and watch_time"]
    assert [need["task"] for need in document["recommendation"]["needs"]] == ["like", "buy"]
    assert "8 as now" in section


def test_each_gain_says_what_its_column_would_for_phones(document: dict[str, Any], page: str) -> None:
    section = page[page.index("<h3>Beyond AUC") : page.index("<h3>What it takes")]
    metrics, differences = section.split("<h3>Architectures against each other")
    sharing = len(document["transfer"]["gains"])
    labels = [metric_label(key) for key in ("auc", "gauc", "log_loss", "calibration", "ece")]
    binary = sum(task.kind == "binary" for task in TASKS)
    assert re.findall('data-label="([^"]+)"', metrics) == labels * sharing * binary
    pairs = len(document["transfer"]["differences"])
    assert re.findall('data-label="([^"]+)"', differences) == [task.name for task in TASKS] * pairs


def test_without_flags_or_without_a_baseline_nothing_is_made_up() -> None:
    plain = compared()
    plain["transfer"] |= {"seesaws": [], "negative": [], "removed": [], "probabilities": [], "differences": []}
    text = Outline(render(plain)).text
    assert "No seesaw is beyond doubt" in text
    assert "Architectures against each other" not in text
    assert "negative transfer" not in text
    older = compared()
    del older["transfer"], older["recommendation"]
    assert 'id="seesaw"' not in render(older)
    assert "Who pays?" not in render(trained())


def joint(gain: float | None, joint95: tuple[float, float] | None) -> JointGain:
    return JointGain(gain=gain, ci95=None, sd_replicas=None, se_test=None, verdict="cannot tell", joint95=joint95, clusters=5)


def test_a_gain_is_sure_where_its_joint_interval_leaves_out_zero() -> None:
    cases = [((0.1, 0.2), "helps", True), ((-0.2, -0.1), "hurts", True), ((-0.1, 0.2), "unsure", False), (None, "unsure", False)]
    for joint95, kind, sure in cases:
        cell = seesaw._gain(joint(0.15, joint95))
        assert (cell["class"], cell["sure"], cell["gain"]) == (kind, sure, "+0.1500")
    assert seesaw._gain(joint(None, None))["gain"] == seesaw._gain(None)["gain"] == "undefined"


def test_the_word_of_a_rule() -> None:
    tree = compared()
    for rule, word in (("share", "Share"), ("separate", "Keep them separate"), ("look again", "Look again")):
        tree["recommendation"]["rule"] = rule
        assert seesaw.advice(comparison(tree))["word"] == word  # type: ignore[index]
    assert seesaw.advice(comparison(trained())) is None


def test_flags_beside_a_verdict() -> None:
    tree = compared()
    flag = {"model": "mmoe", "task": "click", "metric": "log_loss"}
    tree["transfer"] |= {
        "negative": [{"model": "omoe", "task": "like"}],
        "removed": [{"model": "mmoe", "of": of, "task": "like", "gain": 0.1, "joint95": None} for of in ("a", "b", "c")],
        "probabilities": [
            {**flag, "ranking": "helps"},
            {**flag, "metric": "ece", "ranking": "helps"},
            {**flag, "task": "buy", "ranking": "hurts"},
        ],
    }
    marks = seesaw.marks(comparison(tree))
    assert marks[("mmoe", "like")] == [("helps", "undoes the harm of 3 others")]
    assert marks[("omoe", "like")] == [("hurts", "negative transfer")]
    ((kind, text),) = marks[("mmoe", "click")]
    assert kind == "hurts"
    assert text.startswith("worse log loss and ")
    assert ("mmoe", "buy") not in marks, "a worse ranking stands in the verdict"
    assert seesaw.marks(comparison(trained())) == {}


def test_six_pairs_at_most_those_with_a_seesaw_first() -> None:
    from manygate.schema import Task

    tree = compared(tuple(Task(name=f"t{at}") for at in range(5)))
    flags = [{"from": "single_task", "to": "mmoe", "gains": "t4", "loses": "t3", "sure": sure} for sure in (True,)]
    flags += [{"from": "single_task", "to": "mmoe", "gains": "t2", "loses": "t4", "sure": False}]
    tree["transfer"]["seesaws"] = flags
    section = seesaw.seesaw(comparison(tree))
    assert section is not None
    assert [(panel["pair"], panel["tag"]) for panel in section["planes"]][:3] == [  # type: ignore[attr-defined]
        ("t3 and t4", "seesaw"),
        ("t2 and t4", "possible seesaw"),
        ("t0 and t1", ""),
    ]
    assert len(section["planes"]) == 6  # type: ignore[arg-type]
    assert section["left_out"] == 4, "of ten pairs"


@pytest.mark.parametrize(("replicas", "shown"), [(None, "over 10,000"), (8, "8 as now"), (1234, "1,234")])
def test_replicas_that_are_needed(replicas: int | None, shown: str) -> None:
    assert seesaw._many(replicas, 8) == shown


def test_times_the_rows() -> None:
    assert [seesaw._times(factor) for factor in (0.5, 1.0, 2.34, 1234.5)] == ["as now", "as now", "2.3 ×", "1,234 ×"]
