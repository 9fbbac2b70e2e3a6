"""``comparison.json`` keeps all that it is given, by the names that the file has, and refuses words that it does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from documents import comparison, filled
from manygate.errors import InputError
from manygate.results.comparison import ComparisonDocument, Difference, Recommendation, Removal, Seesaw, WeightSweep
from sample_runs import compared, trained

SWEEP: dict[str, Any] = {
    "replicas": 2,
    "seconds": 1.5,
    "reference": {"click": 0.5},
    "hypervolume": {"valid": 0.1, "test": 0.2},
    "points": [{"weights": {"click": 1.0}, "valid": {"click": None}, "test": {"click": 0.7}, "on_front": True}],
    "methods": {
        "mmoe": {
            "valid": {"click": 0.7},
            "test": {"click": 0.7},
            "hypervolume_added": None,
            "verdict": "beyond the sweep",
            "against": [{"point": 0, "gains": {}}],
        }
    },
}


@pytest.fixture(scope="module")
def document() -> ComparisonDocument:
    return comparison(compared())


def test_a_file_is_read_and_written_as_it_was(document: ComparisonDocument, tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    path.write_text(json.dumps(document.to_tree()))
    again = ComparisonDocument.read(path)
    assert again == document
    assert again.to_tree() == document.to_tree()


def test_the_schema_of_the_data_is_named_schema_in_the_file(document: ComparisonDocument) -> None:
    tree = document.to_tree()
    assert tree["schema"] == document.data_schema
    assert "data_schema" not in tree
    assert tree["transfer"]["differences"][0]["from"] == document.transfer.differences[0].origin  # type: ignore[union-attr]


def test_fields_of_a_comparison_are_absent_from_a_single_run() -> None:
    tree = comparison(trained()).to_tree()
    assert not {"transfer", "recommendation", "sweep"} & set(tree)
    assert (tree["baseline"], tree["best"], tree["verdicts"]) == (None, None, {})


def test_a_document_of_another_kind_or_version_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=rf"x.json: not {ComparisonDocument.KIND}: it has no comparison_version"):
        ComparisonDocument.from_tree({"inspection_version": 1}, "x.json")
    with pytest.raises(InputError, match="comparison_version is 1, and this version of manygate reads 2"):
        ComparisonDocument.from_tree({"comparison_version": 1}, "x.json")


@pytest.mark.parametrize("kind", [Difference, Seesaw])
def test_from_is_a_field_of_the_file_and_origin_its_attribute(kind: type[Difference] | type[Seesaw]) -> None:
    rest = {"to": "b"} | ({"tasks": {}} if kind is Difference else {"gains": "x", "loses": "y", "sure": True})
    assert kind.model_validate({"from": "a", **rest}).origin == "a"
    assert kind(origin="a", **rest).to_tree() == {"from": "a", **rest}  # type: ignore[arg-type]


def test_rules_and_standings_are_the_known_ones() -> None:
    for rule in ("share", "one checkpoint per task", "trade-off", "separate", "look again", "cannot tell"):
        assert filled(Recommendation, {"rule": rule}).rule == rule
    with pytest.raises(ValidationError, match="rule"):
        filled(Recommendation, {"rule": "perhaps"})
    sweep = WeightSweep.model_validate(SWEEP)
    assert sweep.to_tree() == SWEEP
    assert sweep.methods["mmoe"].against[0].point == 0
    wrong = {**SWEEP, "methods": {"mmoe": {**SWEEP["methods"]["mmoe"], "verdict": "ahead"}}}
    with pytest.raises(ValidationError, match="verdict"):
        WeightSweep.model_validate(wrong)


def test_a_gain_that_is_not_known_is_null() -> None:
    assert Removal(model="a", of="b", task="t", gain=None, joint95=None).to_tree()["joint95"] is None
