"""Numbers whose values are also ids: which numbers, which values, and that nothing counts them as ids of the log."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.data.number_ids import NumberIds, fit_number_ids
from manygate.data.unseen import cold_rows
from manygate.errors import InputError
from manygate.model.problem import Problem
from manygate.training.id_dropout import IdDropout, Unchanged

RANDOM = np.random.default_rng(0)
MANY = RANDOM.integers(0, 40, 600).astype(float)
"""A number of few values."""


@given(hnp.arrays(np.float64, st.integers(0, 60), elements=st.sampled_from([0.0, -0.0, 0.1, 1.0, 2.5, np.inf, np.nan])))
def test_the_rule_in_a_loop(number_N: np.ndarray):
    counts = Counter(float(np.float32(value)) for value in number_N if np.isfinite(value))
    kept = sorted(value for value, count in counts.items() if count >= 3)
    covered = 2 * sum(counts[value] for value in kept) >= sum(counts.values())
    assert fit_number_ids(number_N, 3) == (NumberIds(tuple(kept)) if len(kept) >= 2 and covered else None)


@pytest.mark.parametrize(
    ("number_N", "has_ids"),
    [
        (RANDOM.normal(40, 12, 600), False),
        (np.where(RANDOM.random(600) < 0.7, 0.0, RANDOM.lognormal(3, 1, 600)), False),
        (MANY, True),
        (np.where(RANDOM.random(600) < 0.6, RANDOM.integers(0, 5, 600) * 100.0, RANDOM.normal(0, 1, 600)), True),
        (np.where(RANDOM.random(600) < 0.3, RANDOM.integers(0, 5, 600) * 100.0, RANDOM.normal(0, 1, 600)), False),
        (np.full(600, 7.0), False),
        (np.full(600, np.nan), False),
        (np.zeros(0), False),
    ],
    ids=["continuous", "zero and a tail", "few values", "spiky", "hardly spiky", "constant", "null", "no rows"],
)
def test_numbers_whose_values_repeat_have_ids(number_N, has_ids):
    assert (fit_number_ids(number_N, 5) is not None) == has_ids


def test_by_default_values_need_many_rows():
    """Ten rows a value, and 500 on average. Who gives a number gets ids by it alone."""
    frequent, rare = np.repeat([1.0, 2.0, 3.0], [10, 490, 1000]), np.repeat([1.0, 2.0, 3.0], [10, 490, 999])
    assert fit_number_ids(frequent, None) == NumberIds((1.0, 2.0, 3.0))
    assert fit_number_ids(rare, None) is None
    assert fit_number_ids(rare, 10) == NumberIds((1.0, 2.0, 3.0))
    nine = np.repeat([1.0, 2.0, 3.0], [9, 490, 1000])
    assert fit_number_ids(nine, None) == NumberIds((2.0, 3.0))


def test_the_default_rule_in_a_log(encoded, log_table, settings, monkeypatch):
    table = log_table(2000).append_column("hours", pa.array(np.arange(2000) % 2 + 0.5))
    schema = schema_with_hours()
    assert encoded(table, schema, settings()).encoder.number_ids == {}, "the log is small"
    monkeypatch.setattr("manygate.data.fit.LARGE_LOG", 1000)
    assert list(encoded(table, schema, settings()).encoder.number_ids) == ["hours"]
    assert encoded(table, schema, settings(number_ids=0)).encoder.number_ids == {}


def test_a_value_is_the_same_id_in_float32_and_float64():
    ids = fit_number_ids(np.array([0.1, 0.1, 0.2, 0.2]), 2)
    assert ids is not None
    assert ids.rows_of(np.array([0.1, 0.2, 0.3])).tolist() == [2, 3, 1]
    assert ids.rows_of(np.array([0.1, 0.2, 0.3], np.float32).astype(np.float64)).tolist() == [2, 3, 1]
    assert ids.rows_of(np.array([np.nan, np.inf, -1.0, 1e300])).tolist() == [0, 1, 1, 1]
    assert fit_number_ids(np.array([1e300, 1e300, 2.0, 2.0]), 2) == NumberIds((2.0, float(np.finfo(np.float32).max)))


@pytest.fixture(scope="module")
def log(encoded, log_table, settings) -> EncodedLog:
    """The log with a number more: hours has 40 values. The bias feature depth has 5, and the age has none that repeats."""
    table = log_table(600).drop_columns("depth")
    table = table.append_column("depth", table["position"])
    table = table.append_column("hours", pa.array(MANY, mask=np.arange(600) % 10 == 0))
    return encoded(table, schema_with_hours(), settings(number_ids=3))


def schema_with_hours() -> Any:
    from conftest import _log_schema
    from manygate.schema import Feature

    schema = _log_schema()
    hours = (Feature(name="hours", kind="dense"),)
    return schema.model_copy(update={"features": hours + schema.features})


def test_the_ids_stand_after_those_of_the_log(log):
    assert list(log.encoder.number_ids) == ["hours"], "not the age, the price (zero and a tail), and the bias feature depth"
    inputs = log.encoder.inputs(3)
    assert [i.name for i in inputs] == [*log.schema.feature_names, "hours"]
    assert (inputs[-1].kind, inputs[-1].dim, inputs[-1].rows) == ("sparse", 3, 2 + len(log.encoder.number_ids["hours"].values))
    for part, rows in log.parts.items():
        assert rows.id_BS.shape == (len(rows), 4), part
    train = log.parts["train"]
    values = np.array([np.nan, np.nan, *log.encoder.number_ids["hours"].values])
    place_N = log.encoder.scales["hours"](values[train.id_BS[:, 3]])
    known_N = train.id_BS[:, 3] >= 2
    np.testing.assert_array_equal(place_N[known_N], train.number_BM[known_N, 0])
    np.testing.assert_array_equal(train.id_BS[:, 3] == 0, np.isnan(train.number_BM[:, 0]))


def test_they_are_off_by_default(encoded, log_table, settings, log):
    plain = encoded(log_table(600).append_column("hours", pa.array(MANY)), schema_with_hours())
    assert not plain.encoder.number_ids
    assert plain.parts["train"].id_BS.shape[1] == 3
    assert log.fingerprint("") != plain.fingerprint("")


def test_no_row_is_cold_and_no_id_unseen_because_of_them(log):
    inputs, rows = log.encoder.inputs(3), log.parts["test"]
    rows.id_BS[:, 3] = 1
    without = [i for i in inputs if not i.of_number]
    assert not inputs[-1].can_be_unseen
    np.testing.assert_array_equal(cold_rows(inputs, rows), cold_rows(without, rows))
    summary = {feature.name: feature for feature in log.summary().features}
    assert not summary["hours"].unknown_shares
    assert summary["hours"].unknown_share is None
    assert (summary["hours"].rows, summary["hours"].columns) == (inputs[-1].rows, log.encoder.scales["hours"].units)
    assert (summary["age"].rows, summary["user"].columns) == (None, None)


def test_id_dropout_trains_the_row_of_their_other_values(log, settings):
    """By decision: a value of training rows is replaced like an id; null stays."""
    config, split = settings(id_dropout=1e6), Split(log.parts["train"])
    inputs = Problem.of(log.encoder, config).inputs
    dropout = IdDropout.of(split, inputs, config)
    assert not isinstance(dropout, Unchanged)
    before = next(split.batches(0, 0, len(split)))
    after = dropout(before, 0).id_BS[:, 3]
    assert (after[before.id_BS[:, 3] == 0] == 0).all()
    assert (after[before.id_BS[:, 3] > 0] == 1).float().mean() > 0.99
    assert isinstance(IdDropout.of(split, [i for i in inputs if i.name == "hours"], settings(id_dropout=0.0)), Unchanged)


def test_one_is_refused(settings):
    with pytest.raises(InputError, match=r"number_ids.*then every value would be an id"):
        settings(number_ids=1)
