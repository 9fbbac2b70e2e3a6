"""A story goes to JSON and comes back."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from manygate.results.story import Claim, Story


def test_a_story_comes_back_from_json() -> None:
    story = Story(summary="All of it.", truth=["One taste."], claims=[Claim(text="It helps.", found="found", evidence="+0.01")])
    assert Story.model_validate(json.loads(json.dumps(story.to_tree()))) == story


def test_a_claim_is_found_contradicted_or_open() -> None:
    with pytest.raises(ValidationError):
        Claim(text="It helps.", found="likely", evidence="+0.01")  # type: ignore[arg-type]
