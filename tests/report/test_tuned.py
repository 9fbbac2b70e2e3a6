"""The tuned settings of a comparison on its page."""

from __future__ import annotations

from typing import Any

from documents import comparison, render
from manygate.report.tuned import tuned
from sample_runs import compared

FOUND = {"trial": 7, "settings": {"experts": 4, "learning_rate": 0.00123456}, "valid": 8.25, "failed": 1, "seconds": 75.0}


def document() -> dict[str, Any]:
    sample = compared()
    found = {"mmoe": {**FOUND, "valid_default": 7.5}, "omoe": {**FOUND, "valid_default": None}}
    return {**sample, "tuned": found, "config": {**sample["config"], "tune": 20}}


def test_each_model_has_a_row() -> None:
    view: Any = tuned(comparison(document()))
    assert view["trials"] == 20
    first, second = view["rows"]
    assert (first["default"], first["tuned"], second["default"]) == ("7.50", "8.25", "undefined")
    assert first["settings"] == [("experts", "4"), ("learning_rate", "0.00123")]
    assert tuned(comparison(compared())) is None


def test_the_page_has_the_section_only_where_models_were_tuned() -> None:
    page = render(document())
    assert "tuned with 20 trials" in page
    assert '<a href="#tuned">Tuned settings</a>' in page
    assert "learning_rate <b>0.00123</b>" in page
    assert "every gain over single-task models on this page is between tuned models" in page
    assert "Models from outside, such as LightGBM, are not tuned" not in page, "there are none"
    assert 'id="tuned"' not in render(compared())
