"""Labelled rows for a search of fusion weights: the predictions, labels, visits and numbers of the same rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from manygate.data.table import open_table
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.schema import Schema
from manygate.scoring.judged import judged_rows
from manygate.scoring.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(encoded, settings) -> Predictor:
    log = encoded()
    return Predictor(MultiTaskModel(Problem.of(log.encoder, settings()), settings(replicas=2)), log.encoder)


def test_each_row_has_its_predictions_labels_weights_visit_and_numbers(predictor, log_table) -> None:
    table = log_table(60, seed=3)
    judged = judged_rows(predictor, open_table(table), ["age", "price"])
    scores = predictor.predict(table)
    click = table["click"].to_numpy()
    for name in ("click", "like", "watch"):
        np.testing.assert_allclose(judged.columns[name], scores[name].to_numpy(), rtol=1e-6)
    np.testing.assert_array_equal(judged.labels["click"], click)
    np.testing.assert_array_equal(judged.weights["click"], table["weight"].to_numpy())
    np.testing.assert_array_equal(judged.weights["like"], table["weight"].to_numpy() * click)
    watched = click == 1
    expected = table["watch"].to_numpy()[watched]
    np.testing.assert_allclose(judged.labels["watch"][watched], expected, rtol=1e-6, err_msg="in the label's unit")
    session = table["session"].to_numpy()
    same = judged.group_N[:, None] == judged.group_N[None, :]
    np.testing.assert_array_equal(same, session[:, None] == session[None, :])
    np.testing.assert_array_equal(judged.features["age"], table["age"].to_numpy(), err_msg="NaN where the age is null")
    np.testing.assert_array_equal(judged.features["price"], table["price"].to_numpy())
    assert np.isnan(judged.features["age"]).any()


def test_rows_without_a_visit_are_left_out(predictor, log_table) -> None:
    table = log_table(60, seed=3)
    without = pa.array(np.arange(60) % 3 == 0)
    place = table.column_names.index("session")
    some = table.set_column(place, "session", pc.if_else(without, pa.scalar(None, table["session"].type), table["session"]))
    judged, known = (judged_rows(predictor, open_table(log), ["price"]) for log in (some, table.filter(pc.invert(without))))
    assert len(judged.group_N) == 40
    np.testing.assert_array_equal(judged.group_N, known.group_N)
    for name in ("columns", "labels", "weights", "features"):
        for key, values in getattr(judged, name).items():
            np.testing.assert_allclose(values, getattr(known, name)[key], rtol=1e-6, err_msg=f"{name} {key}")
    nothing = table.set_column(place, "session", pa.nulls(60, table["session"].type))
    with pytest.raises(InputError, match="'session' is null in every row"):
        judged_rows(predictor, open_table(nothing))


def test_a_schema_without_a_group_is_refused_with_the_setting_that_names_one(encoded, settings, log_schema, log_table) -> None:
    schema = log_schema()
    log = encoded(schema=Schema(features=schema.features, tasks=schema.tasks, weight=schema.weight))
    predictor = Predictor(MultiTaskModel(Problem.of(log.encoder, settings()), settings()), log.encoder)
    with pytest.raises(
        InputError, match=r"the schema names no group column.* Train with (group='COLUMN'|--group COLUMN)\."
    ) as error:
        judged_rows(predictor, open_table(log_table(20)))
    assert "{" not in str(error.value)
