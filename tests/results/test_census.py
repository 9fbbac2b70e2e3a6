"""The document of the census study: its version, and what is no such document."""

from __future__ import annotations

import pytest

from made_up_census import PLAN, outcomes
from manygate.errors import InputError
from manygate.results.census import CensusResults
from manygate.studies.census.document import build

TREE = build(outcomes({"mmoe": 0.95, "omoe": 0.94}), PLAN, ["mmoe", "omoe"], ["income"], 4).to_tree()


def test_it_comes_back_from_its_tree() -> None:
    assert CensusResults.from_tree(TREE, "here").to_tree() == TREE


def test_another_version_or_form_is_refused() -> None:
    with pytest.raises(InputError, match="census_version is 99"):
        CensusResults.from_tree({**TREE, "census_version": 99}, "here")
    with pytest.raises(InputError, match="not the results of the census study"):
        CensusResults.from_tree({**TREE, "looks": "many"}, "here")
