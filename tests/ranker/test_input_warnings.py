"""Predictions in Python warn of ids that training has not seen."""

from __future__ import annotations

import warnings
from typing import Any

import pyarrow as pa
import pytest

import manygate as mg
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.scoring.predictor import Predictor


@pytest.fixture(scope="module")
def ranker(encoded: Any, settings: Any) -> mg.Ranker:
    log = encoded()
    return mg.Ranker.trained(Predictor(MultiTaskModel(Problem.of(log.encoder, settings()), settings()), log.encoder), None)


def with_users(table: pa.Table, users: list[int]) -> pa.Table:
    at = table.column_names.index("user")
    return table.set_column(at, "user", pa.array(users, table.schema.field("user").type))


def test_most_ids_unseen_is_a_warning_at_the_caller_s_line(ranker: mg.Ranker, log_table: Any) -> None:
    table = with_users(log_table(40, seed=7), [10_000 + k for k in range(40)])
    with pytest.warns(UserWarning, match="feature 'user': 100.0 % of the ids are ids that training has not seen") as caught:
        ranker.predict(table)
    assert [warning.filename for warning in caught] == [__file__]


def test_few_rows_and_known_ids_are_no_warning(ranker: mg.Ranker, log_table: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranker.predict(with_users(log_table(19, seed=7), [10_000 + k for k in range(19)]))
        ranker.predict(log_table(200, seed=7))
