"""The page of a search: the surface for each pair of objectives, the trials of a single one."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from manygate.report.fusion import progress, render_search, surface, write_search_page
from manygate.results.fusion import FusionSearch
from page_outline import Outline


def searched(values: list[list[float]], chosen: int = 0) -> FusionSearch:
    """A search whose trials reach some values, of two predictions and a feature."""
    names = [f"t{m}/ndcg" for m in range(len(values[0]))]
    fronts = [not any(all(o >= v for o, v in zip(other, own, strict=True)) and other != own for other in values) for own in values]
    trials: list[dict[str, Any]] = [
        {"weights": [0.5, 1.0, -0.25], "values": own, "total": sum(own), "front": front}
        for own, front in zip(values, fronts, strict=True)
    ]
    return FusionSearch.from_tree(
        {
            "search_version": 1,
            "log": "<b>log</b>",
            "objectives": [
                {"objective": name, "task": name[:2], "weight": 1.0, "task_alone": 0.5, "random": 0.25} for name in names
            ],
            "factors": ["click", "<buy>"],
            "features": [{"feature": "age", "transform": "log"}],
            "rows": 30,
            "visits": 6,
            "sampler": "tpe",
            "seed": 0,
            "alone": {"click": [0.5] * len(names), "<buy>": [0.25] * len(names)},
            "trials": trials,
            "chosen": chosen,
            "hypervolume": 0.125,
        },
        "x",
    )


TWO = searched([[0.5, 0.75], [0.75, 0.5], [0.25, 0.25]], chosen=1)


def test_a_surface_names_the_chosen_trial_the_predictions_alone_and_the_front() -> None:
    chart = ElementTree.fromstring(surface(TWO, 0, 1))
    assert chart.findtext("title") == "t1/ndcg against t0/ndcg"
    assert chart.findtext("desc") == ("Chosen 0.75, 0.5; click alone 0.5, 0.5; <buy> alone 0.25, 0.25; 2 of 3 trials on the front.")
    assert ElementTree.fromstring(surface(TWO, 1, 0)).findtext("desc", "").startswith("Chosen 0.5, 0.75;")


def test_a_single_objective_is_shown_by_trial() -> None:
    one = searched([[0.25], [0.75], [0.5]], chosen=1)
    chart = ElementTree.fromstring(progress(one))
    assert chart.findtext("title") == "t0/ndcg by trial"
    assert chart.findtext("desc") == "Best 0.75; click alone 0.5; <buy> alone 0.25."
    assert render_search(one).count("<svg") == 1


@pytest.mark.parametrize(("objectives", "charts"), [(2, 1), (3, 3), (4, 6)])
def test_each_pair_of_objectives_has_a_surface(objectives: int, charts: int) -> None:
    page = render_search(searched([[0.5] * objectives, [0.75] * objectives]))
    assert page.count("<svg") == charts
    ids = Outline(page).values("id")
    assert len(ids) == len(set(ids))


def test_the_page_escapes_and_lists_the_front_the_best_total_first() -> None:
    page = render_search(TWO)
    outline = Outline(page)
    assert outline.open == []
    assert "<b>log</b>" in outline.text
    assert "b" not in outline.tags
    assert "log(age)" in outline.text
    many = searched([[0.001 * p, 1 - 0.001 * p + 0.0001 * p] for p in range(100)])
    assert sum(trial.front for trial in many.trials) == 100
    assert Outline(render_search(many)).tags.count("tr") < 60 + 20
    assert page == render_search(TWO)


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    write_search_page(TWO, tmp_path / "search.html")
    assert (tmp_path / "search.html").read_text(encoding="utf-8") == render_search(TWO)
    assert [path.name for path in tmp_path.iterdir()] == ["search.html"]
