"""Cuts of a label into levels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders import KEEP_ALL, schema_of
from manygate.data.fit import fit_encoder
from manygate.data.labels import Levels, count_too_early, encode_labels, fit_levels
from manygate.errors import InputError
from manygate.schema import Feature, Schema, Task


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), st.integers(2, 12))
def test_every_level_has_labels_and_their_mean(labels, most):
    label_N = np.array(labels, dtype=np.float64)
    levels = fit_levels(label_N, most)
    assert len(levels.means) == len(levels.cuts) + 1
    if len(np.unique(label_N)) == 1:
        assert levels == Levels((label_N[0],), (label_N[0], label_N[0]))
        return
    assert 1 <= len(levels.cuts) < most
    assert list(levels.cuts) == sorted(set(levels.cuts))
    edges = [-np.inf, *levels.cuts, np.inf]
    for k, mean in enumerate(levels.means):
        inside = label_N[(label_N > edges[k]) & (label_N <= edges[k + 1])]
        assert mean == pytest.approx(inside.mean(), rel=1e-9, abs=1e-9)


def test_few_values_are_a_level_each_however_rare():
    label_N = np.array([1.0] * 1000 + [2.0, 3.0, 4.0, 5.0])
    assert fit_levels(label_N, 5).cuts == (1.0, 2.0, 3.0, 4.0)


def test_a_value_that_fills_several_levels_is_one():
    label_N = np.concatenate([np.zeros(700), np.linspace(1, 300, 300)])
    levels = fit_levels(label_N, 10)
    assert levels.cuts[0] == 0.0
    assert levels.means[0] == 0.0
    assert len(levels.cuts) == 3


def test_labels_masks_weights_and_sample_spaces():
    tasks = (
        Task(name="click"),
        Task(name="buy", where="click == 1"),
        Task(name="watch", kind="regression", label="seconds", where="click == 1 and country == 'CH'"),
    )
    batch = pa.record_batch(
        {
            "age": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "click": pa.array([1, 0, 1, None, 1, 1]),
            "buy": pa.array([1, 1, 0, 1, None, 0]),
            "seconds": pa.array([10.0, 99.0, 20.0, 99.0, 40.0, None]),
            "country": pa.array(["CH", "CH", None, "CH", "CH", "CH"]),
            "w": [2.0, 1.0, 1.0, 1.0, 0.5, 1.0],
        }
    )
    schema = schema_of(Feature(name="age", kind="dense"), tasks=tasks, weight="w")
    label_BT, weight_BT = encode_labels(schema, batch, "log")
    assert weight_BT.T.tolist() == [[2, 1, 1, 0, 0.5, 1], [2, 0, 1, 0, 0, 1], [2, 0, 0, 0, 0.5, 0]]
    assert label_BT.T.tolist() == [[1, 0, 1, 0, 1, 1], [1, 0, 0, 0, 0, 0], [10, 0, 0, 0, 40, 0]]
    encoder = fit_encoder(schema, KEEP_ALL, [("log", batch)])
    mean = (2 * 10 + 0.5 * 40) / 2.5
    sd = ((2 * (10 - mean) ** 2 + 0.5 * (40 - mean) ** 2) / 2.5) ** 0.5
    assert encoder.labels["watch"].mean == pytest.approx(mean)
    assert encoder.labels["watch"].sd == pytest.approx(sd)
    assert (encoder.labels["click"].mean, encoder.labels["click"].sd) == (0.0, 1.0)
    rows = encoder.encode(batch)
    np.testing.assert_allclose(rows.label_BT[:, 2], [(10 - mean) / sd, 0, 0, 0, (40 - mean) / sd, 0], rtol=1e-6)
    assert encoder.encode(batch, labels=False).weight_BT.sum() == 0


def test_what_lies_outside_every_mask_is_not_looked_at():
    """Words, -1, infinity and bad weights stand where no label counts: outside where, after no click, of weight 0, in no task."""
    inf = np.inf
    batch = pa.record_batch(
        {
            "age": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "click": [1.0, 0.0, 1.0, -1.0, 1.0, None],
            "buy": ["1", "-1", "0", "?", "1", "unknown"],
            "watch": [2.0, inf, 3.0, -inf, 4.0, inf],
            "w": [1.0, 1.0, 2.0, 0.0, 1.0, None],
        }
    )
    tasks = (
        Task(name="click"),
        Task(name="buy", after="click"),
        Task(name="watch", kind="regression", loss="log", where="click == 1 and watch < inf"),
        Task(name="again", label="buy", after="buy", where="watch > 2 or watch == inf"),
    )
    schema = schema_of(Feature(name="age", kind="dense"), tasks=tasks, weight="w")
    label_BT, weight_BT = encode_labels(schema, batch, "log")
    assert weight_BT.T.tolist() == [[1, 1, 2, 0, 1, 0], [1, 0, 2, 0, 1, 0], [1, 0, 2, 0, 1, 0], [0, 0, 0, 0, 1, 0]]
    assert label_BT.T.tolist() == [[1, 0, 1, 0, 1, 0], [1, 0, 0, 0, 1, 0], [2, 0, 3, 0, 4, 0], [0, 0, 0, 0, 1, 0]]
    assert fit_encoder(schema, KEEP_ALL, [("log", batch)]).labels["watch"].log
    for column, row, value, message in (
        ("click", 2, 3.0, r"label 'click' of task 'click' has 1 value .*\(3\), the first in row 2"),
        ("buy", 4, "?", r"label 'buy' of task 'buy' has 1 value .*\('\?'\), the first in row 4"),
        ("watch", 0, -2.0, r"label 'watch' of task 'watch' has 1 value .*\(-2\), the first in row 0"),
        ("w", 1, None, r"weight column 'w' has 1 value .*null.*the first in row 1"),
    ):
        values = batch.column(column).to_pylist()
        values[row] = value
        with pytest.raises(InputError, match=message):
            encode_labels(schema, batch.set_column(batch.schema.get_field_index(column), column, pa.array(values)), "log")


def test_a_label_after_a_step_that_cannot_be_read_adds_no_problem():
    batch = pa.record_batch({"age": [1.0, 2.0], "click": [7, 1], "buy": ["?", "1"]})
    schema = schema_of(Feature(name="age", kind="dense"), tasks=(Task(name="buy", after="click"), Task(name="click")))
    with pytest.raises(InputError) as error:
        encode_labels(schema, batch, "log")
    assert len(error.value.problems) == 1
    assert "'click'" in error.value.problems[0]


def test_a_label_too_early_is_counted_within_its_own_where_alone():
    batch = pa.record_batch({"click": [0, 0, 1, 0], "buy": ["1", "true", "1", "?"], "ok": [True, False, True, True]})
    tasks = (Task(name="click"), Task(name="buy", after="click", where="ok == 1"))
    schema = schema_of(Feature(name="ok", kind="sparse"), tasks=tasks)
    assert count_too_early(schema, batch, "log").tolist() == [0, 1]


def test_a_regression_label_far_from_zero_keeps_its_spread():
    """Times as seconds since 1970 within an hour: the sum of squares has no digit left for the spread."""
    seconds = 1.7e9 + np.random.default_rng(0).uniform(0, 3600, 4000)
    batch = pa.record_batch({"age": np.arange(4000.0), "watch": seconds})
    schema = schema_of(Feature(name="age", kind="dense"), tasks=(Task(name="watch", kind="regression"),))
    for size in (4000, 100):
        parts = [("log", batch.slice(start, size)) for start in range(0, 4000, size)]
        scale = fit_encoder(schema, KEEP_ALL, parts).labels["watch"]
        assert scale.mean == pytest.approx(seconds.mean(), rel=1e-12)
        assert scale.sd == pytest.approx(seconds.std(), rel=1e-6)


@pytest.mark.parametrize("values", [[1e200, -1e200, 0.0], [1.7e308, 1.7e308, 1.0]])
def test_a_label_too_large_to_average_is_named(values):
    batch = pa.record_batch({"age": [1.0, 2.0, 3.0], "watch": values})
    schema = schema_of(Feature(name="age", kind="dense"), tasks=(Task(name="watch", kind="regression"),))
    with pytest.raises(InputError, match=r"'watch'.*too large.*rescale"):
        fit_encoder(schema, KEEP_ALL, [("log", batch)])


def test_bad_labels_and_weights_name_column_row_and_remedy():
    features, tasks = (Feature(name="age", kind="dense"),), (Task(name="click"), Task(name="watch", kind="regression"))
    good = {"age": [1.0, 2.0, 3.0], "click": [0.0, 1.0, 0.0], "watch": [1.0, 2.0, 3.0], "w": [1.0, 1.0, 1.0]}
    schema = Schema(features=features, tasks=tasks, weight="w")
    for column, value, message in (
        ("click", 2.0, r"'click'.*1 value .*\(2\).*row 1.*kind=regression"),
        ("watch", np.inf, r"'watch'.*\(inf\).*row 1.*finite"),
        ("w", -1.0, r"'w'.*1 value .*row 1.*0 or more"),
        ("w", np.nan, r"'w'.*null"),
    ):
        bad = {**good, column: [good[column][0], value, good[column][2]]}
        with pytest.raises(InputError, match=message):
            encode_labels(schema, pa.record_batch(bad), "log.csv")
    with pytest.raises(InputError) as error:
        encode_labels(schema, pa.record_batch({**good, "click": [2.0] * 3, "watch": [np.inf] * 3}), "log.csv")
    assert len(error.value.problems) == 2
