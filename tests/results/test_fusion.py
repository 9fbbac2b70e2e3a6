"""``fusion-search.json``, and how a fused score ranks, as records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from manygate.errors import InputError
from manygate.results.fusion import FusionFormula, FusionRanking, FusionSearch

SEARCH: dict[str, Any] = {
    "search_version": 1,
    "objectives": [{"objective": "buy/ndcg", "task": "buy", "weight": 1.0, "task_alone": 0.6, "random": 0.4}],
    "factors": ["click", "buy"],
    "features": [{"feature": "age", "transform": "log"}],
    "rows": 30,
    "visits": 6,
    "sampler": "tpe",
    "seed": 0,
    "alone": {"click": [0.5], "buy": [0.6]},
    "trials": [{"weights": [0.5, 1.0, -0.2], "values": [0.7], "total": 1.1, "front": True}],
    "chosen": 0,
    "hypervolume": 0.3,
}
FORMULA: dict[str, Any] = {
    "version": 3,
    "name": "score",
    "weights": {"click": 1.0},
    "features": [{"feature": "age", "transform": "log", "weight": -0.2}],
    "note": "",
    "made": {"trials": 200, "log": None},
}


def test_a_search_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    for tree in (SEARCH, {**SEARCH, "log": "a.parquet", "fusion": FORMULA}):
        path = tmp_path / "fusion-search.json"
        path.write_text(json.dumps(tree))
        search = FusionSearch.read(path)
        assert search.to_tree() == tree
        assert search.trials[search.chosen].weights == [0.5, 1.0, -0.2]
    assert search.fusion is not None
    assert search.fusion.features[0].weight == -0.2


def test_another_version_and_another_file_are_refused() -> None:
    with pytest.raises(InputError, match="search_version is 2"):
        FusionSearch.from_tree({**SEARCH, "search_version": 2}, "x")
    with pytest.raises(InputError, match="it has no search_version"):
        FusionSearch.from_tree(FORMULA, "x")


def test_a_term_of_a_formula_has_an_exponent_and_a_feature_of_a_search_has_none() -> None:
    assert FusionFormula.model_validate(FORMULA).to_tree() == FORMULA
    with pytest.raises(ValidationError, match=r"features\.0\.weight"):
        FusionFormula.model_validate({**FORMULA, "features": SEARCH["features"]})
    with pytest.raises(InputError, match=r"features\.0\.weight"):
        FusionSearch.from_tree({**SEARCH, "features": FORMULA["features"]}, "x")


def test_a_ranking_by_objective() -> None:
    tree = {
        "formula": "click^2",
        "version": 1,
        "visits": 4,
        "objectives": {"buy/ndcg": {"fused": 0.7, "random": 0.4, "alone": {"click": 0.5}}},
        "undefined": {"like/gauc": "no visit has both"},
    }
    ranking = FusionRanking.model_validate(tree)
    assert ranking.to_tree() == tree
    assert ranking.objectives["buy/ndcg"].alone == {"click": 0.5}
