"""Inputs that say nothing are counted and named: ids that training has not seen, nulls where training had values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from manygate.data.encode import Encoder
from manygate.scoring.input_check import InputCheck


@pytest.fixture(scope="module")
def encoder(encoded: Any) -> Encoder:
    return encoded().encoder


def warnings(encoder: Encoder, table: pa.Table, rows: int = 1000) -> list[str]:
    check = InputCheck(encoder)
    for batch in table.combine_chunks().to_batches(max_chunksize=rows):
        check.add(batch, encoder.encode(batch, labels=False, bias=False))
    return check.warnings()


def changed(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, table.schema.field(name).type))


def test_rows_like_those_of_training_give_no_warning(encoder: Encoder, log_table: Any) -> None:
    assert warnings(encoder, log_table(300, seed=7)) == []
    assert InputCheck(encoder).warnings() == []


@pytest.mark.parametrize("rows", [1, 30, 1000])
def test_unseen_ids_are_counted_over_all_batches(encoder: Encoder, log_table: Any, rows: int) -> None:
    table = changed(log_table(200, seed=7), "user", [10_000 + k if k % 4 else 1 for k in range(200)])
    (text,) = warnings(encoder, table, rows)
    assert text.startswith("feature 'user': 75.0 % of the ids are ids that training has not seen, or too rarely")
    assert warnings(encoder, changed(table, "user", [10_000 + k if k % 4 == 0 else 1 for k in range(200)])) == []


def test_nulls_are_no_unseen_ids(encoder: Encoder, log_table: Any) -> None:
    table = changed(log_table(200, seed=7), "user", [10_000, *[None] * 199])
    texts = warnings(encoder, table)
    assert any("feature 'user': 100.0 % of the ids" in text for text in texts)
    assert any("feature 'user' is null in 99.5 % of the rows, and in 0 % of the training rows" in text for text in texts)


def test_ids_of_lists_are_counted_one_by_one(encoder: Encoder, log_table: Any) -> None:
    table = changed(log_table(200, seed=7), "tags", [["new", "newer", "t0"] if k < 100 else [] for k in range(200)])
    (text,) = warnings(encoder, table)
    assert text.startswith("feature 'tags': 66.7 % of the ids")


def test_a_number_that_became_null_is_named_though_it_takes_the_median_s_place(encoder: Encoder, log_table: Any) -> None:
    table = changed(log_table(200, seed=7), "price", [None if k % 2 else 1.0 for k in range(200)])
    (text,) = warnings(encoder, table)
    assert text.startswith("feature 'price' is null in 50.0 % of the rows, and in 0 % of the training rows")
    assert warnings(encoder, changed(table, "price", [None if k % 2 and k > 2 else 1.0 for k in range(200)])) == []
    nan = changed(table, "price", [float("nan")] * 200)
    assert warnings(encoder, nan)[0].startswith("feature 'price' is null in 100.0 %")


def test_nulls_that_training_had_as_often_are_no_news(encoder: Encoder, log_table: Any) -> None:
    table = changed(log_table(200, seed=7), "price", [None] * 200)
    known = Encoder(encoder.schema, encoder.types, encoder.vocabularies, encoder.scales, encoder.labels, {"price": 0.6})
    assert warnings(known, table) == []


def test_bias_features_are_not_looked_at(encoder: Encoder, log_table: Any) -> None:
    table = changed(changed(log_table(200, seed=7), "position", [99_999] * 200), "depth", [None] * 200)
    assert warnings(encoder, table) == []
    assert warnings(encoder, table.drop_columns(["position", "depth"])) == []
