"""What people read on stdout after a comparison: verdicts, the advice with its reasons, who pays."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.cli.terminal import show_comparison


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
        "rule": "share at a price",
        "text": "Share with mmoe only if you can pay.",
        "reasons": ["mmoe spoils the ECE of buy."],
    }
    return {
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
    show_comparison(document(), "Sharing helps 1 of 2 tasks with mmoe; none is clearly hurt.")
    out = capsys.readouterr().out
    assert "+0.0200 ± 0.0100  + helps" in out
    assert "-0.0200 ± 0.0190  - likely hurts" in out, "on its own interval only"
    assert out.splitlines()[-4:] == [
        "Share at a price. Share with mmoe only if you can pay.",
        "- mmoe spoils the ECE of buy.",
        "- Seesaw, single_task to mmoe: click gains, buy loses.",
        "- 1 possible seesaw, of which one side may be luck: see the report.",
    ]


def test_a_comparison_without_a_baseline_gives_no_advice(capsys: pytest.CaptureFixture[str]) -> None:
    alone = document(baseline=None, verdicts={})
    del alone["transfer"], alone["recommendation"]
    show_comparison(alone, "mmoe did best on validation, of 2 architectures.")
    assert capsys.readouterr().out.splitlines()[-1] == "mmoe is best. The choice is made on validation alone."
