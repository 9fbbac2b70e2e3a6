"""Ids by name, ids by their values, and what is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manygate.data.inference.infer import infer_with_questions
from manygate.data.inference.infer_kind import infer_kind
from manygate.data.inference.sampled_column import SampledColumn

N = 4000
RNG = np.random.default_rng(8)
POPULAR = RNG.permutation(300)[np.minimum(RNG.zipf(1.4, N), 300) - 1]
COUNT = RNG.poisson(60, N)


def column(name: str, values: Any) -> SampledColumn:
    return SampledColumn(name, pa.chunked_array([pa.array(values, from_pandas=True)]), False)


BY_NAME = [
    "user",
    "movie",
    "customer_no",
    "user_id:token",
    "adgroup",
    "store9",
    "advertiser_nr",
    "cowcode2",
    "barcode",
    "Movie",
    "itemNo",
]


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("values", [POPULAR, COUNT, POPULAR.astype(float)], ids=["ids", "counts", "floats"])
def test_a_name_of_a_thing_makes_ids_without_a_question(name: str, values: Any) -> None:
    found = infer_kind(column(name, values))
    assert (found.kind, found.question) == ("sparse", "")


@pytest.mark.parametrize("name", ["x", "feature_7", "C14", "account_number", "flight", "var", "bucket", "cluster_num"])
@pytest.mark.parametrize("as_float", [False, True])
def test_values_without_an_order_are_ids_with_a_question(name: str, as_float: bool) -> None:
    values = POPULAR.astype(float) if as_float else POPULAR
    found = infer_kind(column(name, np.where(RNG.random(N) < 0.1, np.nan, values) if as_float else values))
    assert found.kind == "sparse"
    if name != "flight":
        assert f"column '{name}' holds whole numbers" in found.question
        assert "ids or amounts?" in found.note
        assert "write kind: dense" in found.note


@pytest.mark.parametrize(
    "name", ["price", "num_users", "number_of_items", "user_count", "age", "sched_arr_time", "day", "view_minutes"]
)
def test_a_name_of_an_amount_or_a_time_is_never_asked_about(name: str) -> None:
    assert infer_kind(column(name, POPULAR)).kind == "dense"


@pytest.mark.parametrize("name", ["x", "feature_7", "account_number", "rating:float"])
def test_values_with_an_order_are_numbers(name: str) -> None:
    assert infer_kind(column(name, COUNT)) == infer_kind(column(name, COUNT.astype(float)))
    assert (infer_kind(column(name, COUNT)).kind, infer_kind(column(name, COUNT)).question) == ("dense", "")


def test_recbole_s_word_for_the_kind_decides() -> None:
    assert infer_kind(column("x:float", POPULAR)).kind == "dense"
    assert infer_kind(column("age:token", COUNT)).kind == "sparse"
    assert infer_kind(column("x:float", POPULAR)).question == ""


def test_a_number_of_each_user_is_looked_at_once_a_user() -> None:
    users = 600
    user = np.repeat(np.arange(users), np.exp(RNG.normal(2, 1.6, users)).astype(int) + 1)
    years = np.clip(RNG.normal(35, 12, users).round(), 0, 90).astype(int)[user]
    alone, beside = column("years_old", years), column("v", years)
    assert infer_kind(alone).kind == "dense"
    assert infer_kind(beside, [column("user_id", user)]).kind == "dense"
    assert infer_kind(beside).question, "without the users it looks like ids"


def test_train_and_schema_are_told_the_same() -> None:
    log = pa.table({"v": POPULAR, "count": COUNT, "click": RNG.integers(0, 2, N)})
    answer = infer_with_questions(log, "click")
    assert [(feature.name, feature.kind) for feature in answer.schema.features] == [("v", "sparse"), ("count", "dense")]
    (asked,) = answer.questions
    assert (asked.level, asked.column) == ("warning", "v")
    assert "ids or amounts?" in answer.schema.to_yaml()
