"""A document keeps the fields that it was given, and refuses another version or form."""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar

import pytest
from pydantic import Field, ValidationError

from manygate.errors import InputError
from manygate.results.base import Document, Number, Record, required


class Part(Record):
    mean: float | None
    origin: str = Field(alias="from")


class Page(Document):
    KIND: ClassVar[str] = "a page"
    VERSION_FIELD: ClassVar[str] = "page_version"
    VERSION: ClassVar[int] = 2

    page_version: int
    parts: list[Part]
    note: str | None = None


def tree(**changes: Any) -> dict[str, Any]:
    return {"page_version": 2, "parts": [{"mean": None, "from": "a"}], **changes}


def test_absent_fields_stay_absent_and_null_ones_stay_null():
    assert Page.from_tree(tree(), "x").to_tree() == tree()
    assert Page.from_tree(tree(note=None), "x").to_tree() == tree(note=None)
    assert Page.from_tree(tree(), "x").note is None


def test_a_part_can_be_made_by_the_name_of_its_attribute():
    part = Part(mean=0.5, origin="a")
    assert part.to_tree() == {"mean": 0.5, "from": "a"}
    assert part.model_copy(update={"mean": 1.0}).to_tree() == {"mean": 1.0, "from": "a"}


def test_a_record_is_frozen_and_takes_no_unknown_field():
    part = Part(mean=0.5, origin="a")
    with pytest.raises(ValidationError):
        part.mean = 1.0
    with pytest.raises(ValidationError, match="middle"):
        Part.model_validate({"mean": 0.5, "from": "a", "middle": 1})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "not a page: it has no page_version"),
        ({"parts": []}, "not a page: it has no page_version"),
        (tree(page_version=3), "page_version is 3, and this version of manygate reads 2"),
        (tree(page_version="2"), "page_version is '2'"),
        (tree(parts=[{"mean": "high", "from": "a"}]), r"parts\.0\.mean: .*number"),
        (tree(parts=[{}, {}]), r"parts\.0\.mean: Field required \(3 more\)"),
        (tree(other=1), "other: Extra inputs"),
    ],
)
def test_another_version_or_form_is_refused_with_the_file_s_name(bad, message):
    with pytest.raises(InputError, match=f"page.json: .*{message}"):
        Page.from_tree(bad, "page.json")


def test_read(tmp_path):
    path = tmp_path / "page.json"
    with pytest.raises(InputError, match="does not exist"):
        Page.read(path)
    path.write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        Page.read(path)
    path.write_text(json.dumps(tree(note="é")), encoding="utf-8")
    assert Page.read(path).note == "é"


def test_required():
    assert required(0, "rows") == 0
    with pytest.raises(InputError, match="has no rows"):
        required(None, "rows")


class Measure(Record):
    value: Number


def test_a_number_that_is_not_finite_is_null_in_json_and_comes_back_as_nan():
    for value in (math.nan, math.inf):
        assert Measure(value=value).to_tree() == {"value": None}
    assert math.isnan(Measure.model_validate({"value": None}).value)
    assert Measure(value=0.5).to_tree() == {"value": 0.5}
