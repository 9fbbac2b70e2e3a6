"""The page of a search: it is whole, the same each time, and safe with odd names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from manygate.report.tuning.page import render_tuning, write_tuning_page
from manygate.results.tuning import TuningDocument
from tuning_documents import tuned


@pytest.mark.parametrize("kind", ["one", "two", "none"])
def test_the_page_has_the_answer_and_every_trial(kind: str) -> None:
    document = {"one": tuned, "two": lambda: tuned(objectives=2), "none": lambda: tuned(better=False)}[kind]()
    page = render_tuning(document)
    assert page == render_tuning(document)
    assert f"<h1>{document.headline}</h1>" in page
    assert len(re.findall(r'<tr><th scope="row">\d+</th>', page)) == 10 + len(document.trials)
    assert page.count("<svg") == page.count("</svg>") == {"one": 4, "two": 4, "none": 3}[kind]
    assert "nan" not in re.sub(r"became nan", "", page)
    assert ("Gain of the tuned settings" in page) == (kind != "none")
    assert "http://" not in page
    assert "https://" not in page


def test_failed_and_early_trials_are_said(tmp_path: Path) -> None:
    page = render_tuning(tuned())
    assert "34 completed, 4 ended early and 2 failed" in page
    assert "failed: mmoe: the loss of task &#39;click&#39; became nan" in page
    assert "1 model diverged" in page
    assert "1 trial ran again" in page


def test_a_search_of_few_trials_has_a_page() -> None:
    document = tuned(trials=1, better=False)
    few = document.model_copy(update={"importance": None})
    page = render_tuning(few)
    assert "not computed with fewer than ten" in page


def test_odd_names_are_escaped() -> None:
    document = tuned()
    odd = document.model_copy(update={"headline": "<script>alert(1)</script>", "command": "<b>&"})
    page = render_tuning(odd)
    assert "<script>" not in page
    assert "&lt;b&gt;&amp;" in page


def test_values_outside_the_space_are_drawn(tmp_path: Path) -> None:
    """The defaults may lie outside their ranges."""
    document = tuned()
    trials = [*document.trials]
    settings = {"learning_rate": 1.0, "experts": 64, "expert_hidden": None, "batch_size": 7, "gate": "dselect_k", "dropout": 0.9}
    trials[0] = trials[0].model_copy(update={"settings": settings})
    write_tuning_page(document.model_copy(update={"trials": trials}), tmp_path / "report.html")
    assert TuningDocument.KIND in "the results of a search for settings"
    assert "dselect_k" in (tmp_path / "report.html").read_text(encoding="utf-8")
