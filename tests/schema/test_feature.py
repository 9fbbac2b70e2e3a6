"""A feature accepts the settings of its kind and refuses the others."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from manygate.schema import Feature


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("sparse", {"dim": 4, "min_count": 3}),
        ("sparse", {"vocabulary": "hash", "buckets": 100, "bias": True}),
        ("bag", {"dim": 4, "pooling": "sum", "buckets": 2, "id_dropout": 0.0}),
        ("dense", {"encoding": "log1p", "bias": True}),
        ("bag", {"context": True}),
    ],
)
def test_settings_of_the_kind(kind: Any, settings: dict[str, Any]) -> None:
    feature = Feature(name="a", kind=kind, **settings)
    assert {name: getattr(feature, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        ("dense", {"dim": 4}, "feature 'a': dim is for sparse and bag features, and this feature is dense"),
        ("dense", {"min_count": 2}, "min_count is for sparse and bag features"),
        ("dense", {"max_ids": 2}, "max_ids is for sparse and bag features"),
        ("sparse", {"max_ids": 2, "vocabulary": "hash"}, "hashed ids have buckets rows"),
        ("dense", {"buckets": 2}, "buckets is for sparse and bag features"),
        ("sparse", {"pooling": "sum"}, "pooling is for bag features, and this feature is sparse"),
        ("bag", {"encoding": "minmax"}, "encoding is for dense features, and this feature is bag"),
        ("dense", {"vocabulary": "hash"}, "a dense feature has no vocabulary to hash"),
        ("dense", {"id_dropout": 0.0}, "id_dropout is for sparse and bag features, and this feature is dense"),
        ("dense", {"id_dropout": 2.0, "bias": True}, "'a': id_dropout is for sparse and bag features"),
        ("sparse", {"id_dropout": 2.0, "vocabulary": "hash"}, "id_dropout is for ids that can be unseen, and every id has a hash"),
        ("sparse", {"id_dropout": 2.0, "bias": True}, "id_dropout is not for a bias feature, which is null at serving"),
        ("sparse", {"bias": True, "context": True}, "a bias feature is absent at serving, so it cannot be context"),
        ("bag", {"bias": True}, "a bag cannot be a bias feature"),
    ],
)
def test_settings_of_another_kind(kind: Any, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Feature(name="a", kind=kind, **settings)


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(ValueError, match="2 problems"):
        Feature(name="a", kind="dense", dim=4, pooling="sum")


@pytest.mark.parametrize(
    ("setting", "value"), [("dim", 0), ("min_count", 0), ("max_ids", 0), ("id_dropout", -1), ("buckets", 1), ("buckets", 2**30 + 1)]
)
def test_numbers_out_of_range(setting: str, value: int) -> None:
    with pytest.raises(ValidationError, match=setting):
        Feature(name="a", kind="sparse", **{setting: value})


def test_roles() -> None:
    features = [Feature(name="a", kind="sparse", **role) for role in ({}, {"bias": True}, {"context": True})]
    assert [feature.role for feature in features] == ["", "bias", "context"]
