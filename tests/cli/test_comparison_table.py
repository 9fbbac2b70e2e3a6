"""What people read on stdout after a comparison: verdicts, the advice with its reasons, who pays."""

from __future__ import annotations

from typing import Any

import pytest

from documents import comparison, filled
from manygate.cli.comparison_table import show_comparison, show_story
from manygate.cli.terminal import show_metrics
from manygate.metrics.uncertainty import interval_note
from manygate.results.story import Claim, Story
from manygate.results.summary import TaskReport


def document(**more: Any) -> dict[str, Any]:
    """mmoe helps click and likely hurts buy."""

    def result(click: float, buy: float) -> dict[str, Any]:
        tasks = {name: {"kind": "binary", "metrics": {"auc": {"mean": mean}}} for name, mean in (("click", click), ("buy", buy))}
        return {"tasks": tasks, "parameters": 10, "network_parameters": 5, "flops": 20, "seconds": 1.0}

    verdicts = {
        "click": {"metric": "auc", "gain": 0.02, "ci95": [0.01, 0.03], "verdict": "helps"},
        "buy": {"metric": "auc", "gain": -0.02, "ci95": [-0.039, -0.001], "verdict": "hurts"},
    }
    gains = {"click": {"auc": {"joint95": [0.005, 0.035]}}, "buy": {"auc": {"joint95": [-0.045, 0.005]}}}
    step = {"from": "single_task", "to": "mmoe", "gains": "click", "loses": "buy"}
    seesaws = [{**step, "sure": True}, {**step, "sure": False}]
    advice = {
        "rule": "trade-off",
        "text": "Share with mmoe only if you can pay.",
        "reasons": ["mmoe spoils the ECE of buy."],
        "could_change": ["More replicas."],
    }
    return {
        "architectures": ["single_task", "mmoe"],
        "schema": {"tasks": [{"name": "click"}, {"name": "buy"}]},
        "results": {"single_task": result(0.7, 0.6), "mmoe": result(0.72, 0.58)},
        "verdicts": {"mmoe": verdicts},
        "baseline": "single_task",
        "best": {"architecture": "mmoe", "reason": "mmoe is best."},
        "valid": {"single_task": {"mean": 0.6}, "mmoe": {"mean": 0.7}},
        "transfer": {"gains": {"mmoe": gains}, "seesaws": seesaws},
        "recommendation": advice,
        **more,
    }


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_a_comparison_ends_with_what_to_do_why_and_who_pays(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(comparison(document()), "Sharing helps 1 of 2 tasks with mmoe; none is clearly hurt.")
    out = capsys.readouterr().out
    assert "+0.0200 ± 0.0100  + helps" in out
    assert "-0.0200 ± 0.0190  - likely hurts" in out, "on its own interval only"
    assert out.splitlines()[-6:] == [
        "Trade-off. Share with mmoe only if you can pay.",
        "- mmoe spoils the ECE of buy.",
        "- Seesaw, single_task to mmoe: click gains, buy loses.",
        "- 1 possible seesaw, of which one side may be luck: see the report.",
        "What could change this answer:",
        "- More replicas.",
    ]


@pytest.mark.parametrize("replicas", [1, 2])
def test_too_few_replicas_for_an_interval_are_named(capsys: pytest.CaptureFixture[str], replicas: int) -> None:
    verdicts = {task: {"metric": "auc", "gain": 0.02, "ci95": None, "verdict": "cannot tell"} for task in ("click", "buy")}
    note = interval_note(replicas)
    show_comparison(comparison(document(verdicts={"mmoe": verdicts}, interval_note=note)), "Sharing makes no clear difference.")
    out = capsys.readouterr().out
    assert out.count("3 or more replicas are needed for an interval, and there ") == 1
    assert "+0.0200  ? cannot tell" in out
    assert "±" not in out.replace("gain ± 95 %", "")
    click = filled(TaskReport, {"metrics": {"auc": {"mean": 0.7}}, "ensemble": {"auc": 0.71}})
    show_metrics({"click": click}, "mmoe", note)
    assert capsys.readouterr().out.splitlines()[-1] == note


def test_an_interval_with_a_side_cut_off_is_shown_by_its_ends(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = {task: {"metric": "auc", "gain": 0.5, "ci95": [-0.9, 1.0], "verdict": "cannot tell"} for task in ("click", "buy")}
    show_comparison(comparison(document(verdicts={"mmoe": verdicts})), "Sharing makes no clear difference.")
    assert "+0.5000 (-0.9000 to +1.0000)" in capsys.readouterr().out


def test_a_comparison_without_a_baseline_gives_no_advice(capsys: pytest.CaptureFixture[str]) -> None:
    alone = document(baseline=None, verdicts={})
    del alone["transfer"], alone["recommendation"]
    show_comparison(comparison(alone), "mmoe did best on validation, of 2 architectures.")
    assert capsys.readouterr().out.splitlines()[-1] == "mmoe is best. The choice is made on validation alone."


def test_a_story_says_what_is_true_and_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    claims = [
        Claim(text="Sharing helps buy.", found="found", evidence="+0.0400 over its own"),
        Claim(text="A bottom hurts like.", found="contradicted", evidence="+0.0100 over its own"),
    ]
    show_story(Story(summary="It finds 1 of 2 claims.", truth=["Buyers want what clickers want."], claims=claims))
    assert capsys.readouterr().out.splitlines() == [
        "",
        "What is true of this made-up log",
        "- Buyers want what clickers want.",
        "found: Sharing helps buy. +0.0400 over its own.",
        "contradicted: A bottom hurts like. +0.0100 over its own.",
        "It finds 1 of 2 claims.",
    ]
    show_story(None)
    assert capsys.readouterr().out == ""


def apart(unseen: int, auc: float | None) -> dict[str, Any]:
    """The metrics of a task whose rows, 1,000 in all, are known in part."""

    def part(rows: int, mean: float | None) -> dict[str, Any]:
        return {"rows": rows, "metrics": {"auc": {"mean": mean, "ci95": mean and [mean - 0.02, mean + 0.02]}}}

    return {"warm": part(1_000 - unseen, 0.8), "cold": part(unseen, auc)}


def test_rows_with_unseen_ids_have_a_table_where_they_are_many(capsys: pytest.CaptureFixture[str]) -> None:
    tree = document()
    for task, parts in (("click", apart(630, 0.6)), ("buy", apart(49, 0.5))):
        tree["results"]["mmoe"]["tasks"][task]["cold_start"] = parts
    tree["results"]["single_task"]["tasks"]["click"]["cold_start"] = apart(630, None)
    show_comparison(comparison(tree), "An answer.")
    out = capsys.readouterr().out
    lines = [line.split() for line in out.partition("each task on test, apart by ids")[2].splitlines()]
    assert lines[2:4] == [
        ["click", "63", "%", "single_task", "auc", "0.8000", "±", "0.0200", "undefined"],
        ["mmoe", "auc", "0.8000", "±", "0.0200", "0.6000", "±", "0.0200"],
    ]
    assert lines[4][:5] == ["An", "id", "is", "unseen", "if"], "few rows of buy have one"
    for name in ("mmoe", "single_task"):
        tree["results"][name]["tasks"]["click"]["cold_start"] = apart(49, 0.6)
    show_comparison(comparison(tree), "An answer.")
    assert "apart by ids" not in capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    tree = document()
    for name in ("single_task", "mmoe"):
        tree["results"][name]["tasks"]["click"]["cold_start"] = apart(630, 0.6)
    tree["recommendation"]["could_change"] = ["More replicas could change this answer. " * 5]
    show_comparison(comparison(tree), "An answer. " * 20)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("  ") and "replicas could change" in line for line in lines), "a long point is indented"
    assert not any("…" in line for line in lines), "nothing is cut"


def test_the_price_of_one_checkpoint_has_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    priced = document()
    priced["price"] = {"mmoe": {"click": {"metric": "auc", "price": 0.004}, "buy": {"metric": "auc", "price": 0.0}}}
    gains = {"click": {"gain": 0.016, "ci95": [0.006, 0.026]}, "buy": {"gain": -0.02, "ci95": None}}
    priced["as_shipped"] = {"mmoe": {task: {"metric": "auc", **gain} for task, gain in gains.items()}}
    priced["recommendation"] = {**priced["recommendation"], "judged": "mmoe"}
    show_comparison(comparison(priced), "An answer.")
    out = capsys.readouterr().out
    assert "effect ± 95 %" in out
    lines = [line.split() for line in out.partition("mmoe with one checkpoint for all tasks")[2].splitlines()[2:4]]
    assert lines == [["click", "+0.0200", "+0.0040", "+0.0160", "±", "0.0100"], ["buy", "-0.0200", "+0.0000", "-0.0200"]]
    priced["price"]["mmoe"]["click"]["price"] = 0.0
    show_comparison(comparison(priced), "An answer.")
    assert "one checkpoint" not in capsys.readouterr().out
