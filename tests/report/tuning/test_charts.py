"""The charts of a search: what they draw where."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.report.tuning import charts
from tuning_documents import SPACE, tuned


def test_the_rows_of_the_parallel_coordinates_place_values_by_their_size() -> None:
    document = tuned()
    complete = [trial for trial in document.trials if trial.state == "complete"]
    places: dict[str, Any] = {name: charts._Row(name, document, complete) for name in SPACE}
    assert places["learning_rate"].place(2e-3) == pytest.approx(0.5, abs=0.02), "the middle of a logarithmic scale"
    assert places["experts"].place(9) == pytest.approx(0.5)
    assert places["expert_hidden"].place([64]) == pytest.approx(0.5)
    assert [places["batch_size"].place(value) for value in (64, 128, 512)] == pytest.approx([0, 1 / 3, 1])
    assert [places["gate"].place(value) for value in ("softmax", "topk")] == [0, 1]
    assert (places["experts"].low, places["experts"].high) == ("2", "16")


def test_descriptions_say_what_the_charts_show() -> None:
    document = tuned()
    best = max(trial.values[0] for trial in document.trials if trial.state == "complete")
    assert f"Best {best:.2f}; trial {document.chosen.number} is chosen; 4 ended early; 2 failed." in charts.history(document)
    assert "learning_rate 46%, experts 21%" in charts.importance(document.importance or {})
    pair = tuned(objectives=2)
    ahead = [trial.number for trial in pair.trials if trial.front]
    assert f"{len(ahead)} of 38 trials are beaten by none" in charts.front(pair, 0, 1)
    assert "The chosen trial has experts: " in charts.parallel(document, ["experts", "gate"])
