"""The result of a search in the terminal."""

from __future__ import annotations

import pytest

from manygate.cli.tuning_table import points, show_tuning
from tuning_documents import tuned


def test_the_answer_the_gains_and_the_settings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    document = tuned()
    show_tuning(document)
    shown = capsys.readouterr().out
    assert document.headline in shown.replace("\n", " ")
    for part in ("click AUC", "+0.0061", "learning_rate", "46%", f"settings of trial {document.chosen.number}"):
        assert part in shown


def test_without_a_gain_there_is_no_table_of_gains(capsys: pytest.CaptureFixture[str]) -> None:
    show_tuning(tuned(better=False))
    assert "95 %" not in capsys.readouterr().out


def test_the_trials_are_counted() -> None:
    lines = points(tuned())
    assert lines[0] == "40 trials: 34 completed, 4 ended early and 2 failed, 20 min 34 s in all."
    assert lines[1] == "1 trial ran again, since a process had died or was stopped."
    front = points(tuned(objectives=2))[-1]
    assert front.startswith("No other trial beats ")
    assert "--pick N" in front
