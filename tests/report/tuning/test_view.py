"""The tables of the page of a search."""

from __future__ import annotations

from typing import Any

from manygate.report.tuning import view
from tuning_documents import tuned


def test_the_gains_have_their_sides() -> None:
    found: Any = view.gains(tuned())
    assert [(row["task"], row["word"]) for row in found["rows"]] == [
        ("click", "helps"),
        ("like", "hurts"),
        ("watch_time", "helps"),
        ("buy", "cannot tell"),
    ]
    assert found["rows"][0]["gain"] == "+0.0061"
    assert view.gains(tuned(better=False)) is None


def test_the_trials_are_ordered_by_score_with_the_failed_ones_last() -> None:
    document = tuned()
    rows: Any = view.trials(document)["rows"]
    values = {trial.number: trial.values for trial in document.trials}
    complete = [values[row["number"]][0] for row in rows if row["state"] == "completed"]
    assert complete == sorted(complete, reverse=True)
    assert rows[0]["chosen"]
    assert [row["state"] for row in rows[-2:]] == ["failed", "failed"]
    assert rows[0]["cells"][0]["noise"] == "0.02"


def test_the_settings_name_their_ranges_and_importance() -> None:
    rows: Any = {row["name"]: row for row in view.settings(tuned())}
    assert rows["learning_rate"]["range"] == "0.0002 to 0.02, logarithmic"
    assert rows["batch_size"]["range"] == "64; 128; 256; 512"
    assert rows["experts"]["importance"] == "21.0 %"
    assert rows["experts"]["default"] == "8"


def test_the_score_that_chose_is_said_to_be_too_good() -> None:
    first, second = view.validation(tuned())
    assert first.startswith("Trial ")
    assert "With fresh seeds the tuned settings have 0.6" in second
    assert "too good on average" in second
    assert len(view.validation(tuned(objectives=2))) == 1, "the runs at the end have another score"


def test_the_facts_and_what_is_needed_to_do_it_again() -> None:
    document = tuned()
    assert "40 trials of 2 replicas" in view.facts(document)
    again: Any = view.reproduce(document)
    assert again["final"] == "8 replicas with the seeds 2 to 9"
    assert ("sampler", "gp") in again["searched"]
