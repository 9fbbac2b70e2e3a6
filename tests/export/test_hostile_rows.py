"""Rows that are made to be difficult: what they hold, and that a seed decides them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from exported import FUNNEL, funnel_log, untrained
from manygate.data.encode import Encoder
from manygate.export.hostile_rows import NUMBERS, TEXTS, hostile_rows


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return untrained(funnel_log(), FUNNEL, number_ids=2, replicas=1).encoder


def test_every_served_feature_and_every_column_of_the_fusion(encoder: Encoder) -> None:
    batch = hostile_rows(encoder, 400, fused=("price", "other"))
    assert batch.schema.names == [*(f.name for f in FUNNEL.served_features), "other"]
    assert batch.num_rows == 400
    assert batch.column("other").type == pa.float64()
    assert hostile_rows(encoder, 0).num_rows == 0


def test_known_unseen_and_null_values(encoder: Encoder) -> None:
    batch = hostile_rows(encoder, 400)
    rows = encoder.encode(batch, labels=False, bias=False)
    for s, feature in enumerate(f for f in FUNNEL.features if f.kind == "sparse" and not f.bias and f.name != "bucket"):
        found = set(rows.id_BS[:, s].tolist())
        assert 0 in found, feature.name
        assert max(found) >= 2, feature.name
        assert 1 in found or feature.name == "flag", feature.name
    lists = batch.column("tags")
    assert lists.null_count
    assert 0 in pc.list_value_length(lists).to_pylist()
    assert pc.list_flatten(lists).null_count


def test_values_are_extreme_and_fit_their_type(encoder: Encoder) -> None:
    batch = hostile_rows(encoder, 2000)
    assert {-(2**31), 0, 7} <= set(batch.column("item").to_pylist())
    assert 2**64 - 1 in batch.column("large").to_pylist()
    assert {"", "a\0", "\0", "🙂🙂", "x" * 300} <= set(batch.column("word").to_pylist())
    assert set(TEXTS) <= set(batch.column("word").to_pylist())
    age = batch.column("age").to_numpy(zero_copy_only=False)
    assert np.isinf(age).any()
    assert np.isnan(age).any()
    assert set(np.array(NUMBERS)[~np.isnan(NUMBERS)]) <= set(age[~np.isnan(age)])
    knots = encoder.scales["age"].x
    assert set(knots) & set(age[~np.isnan(age)])
    assert ((age > knots[0]) & (age < knots[1])).any(), "and numbers between knots"


def test_a_seed_decides_the_rows(encoder: Encoder) -> None:
    one, again, other = (hostile_rows(encoder, 50, seed=seed) for seed in (1, 1, 2))
    assert str(one.to_pydict()) == str(again.to_pydict()) != str(other.to_pydict())
