"""Prediction: the kind of frame given comes back, with the rows' own scores, however the rows arrive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import manygate as mg
from manygate.data.batches import Split
from manygate.data.table import open_table
from manygate.evaluation.evaluate_log import evaluate_log
from manygate.model.logits import predict
from manygate.schema import Feature, Schema, Task
from manygate.scoring.calibration import Calibration, Calibrator
from manygate.scoring.fusion import Fusion, Term
from manygate.scoring.outputs import outputs
from manygate.scoring.predictor import Predictor

TASKS = ["click", "like", "watch"]


@pytest.fixture(scope="module")
def log(encoded, settings, log_table, log_schema) -> Any:
    return encoded(log_table(300, seed=1), log_schema(), settings(min_count=2))


@pytest.fixture(scope="module", params=["mmoe", "single_task"])
def ranker(log, trainer, settings, request) -> mg.Ranker:
    """Trained a little, as a Ranker: two replicas."""
    training = trainer(log, settings(replicas=2, epochs=2, architecture=request.param))
    training.fit()
    found = mg.Ranker(architecture=request.param)
    found._predictor = Predictor(training.model, log.encoder)
    return found


@pytest.fixture(scope="module")
def rows(log_table) -> pa.Table:
    """New rows, without labels and bias features."""
    table = log_table(120, seed=8)
    return table.drop_columns(["click", "like", "watch", "position", "depth", "weight", "session"])


@pytest.fixture(scope="module")
def expected(ranker, rows) -> np.ndarray:
    return matrix(ranker.predict(rows))


def matrix(scores: Any) -> np.ndarray:
    """Scores as an array, whatever frame they came in."""
    if isinstance(scores, duckdb.DuckDBPyRelation):
        scores = scores.to_arrow_table()
    if isinstance(scores, pl.LazyFrame):
        scores = scores.collect()
    if isinstance(scores, pa.Table):
        assert scores.column_names == TASKS
        return np.stack([scores[name].to_numpy() for name in TASKS], axis=1)
    assert list(scores.columns) == TASKS
    return np.asarray(scores.to_numpy())


def test_scores_are_the_mean_of_the_replicas_as_in_training(log, ranker, log_table):
    """The same rows through the log's own path and through predict."""
    table = log_table(300, seed=1)
    rows = log.encoder.encode(table.combine_chunks().to_batches()[0], bias=False)
    own = outputs(predict(ranker.model, Split(rows)), ranker.model.problem).mean(axis=0)
    np.testing.assert_allclose(matrix(ranker.predict(table)), own, rtol=1e-6, atol=1e-7)
    assert ((own[:, :2] > 0) & (own[:, :2] < 1)).all()
    assert 15 < own[:, 2].mean() < 40, "a regression comes back in the label's unit"


def test_pandas_comes_back_with_its_index(ranker, rows, expected):
    frame = rows.to_pandas()
    for index in (
        pd.Index(range(500, 620), name="row"),
        pd.RangeIndex(0, 240, 2),
        pd.date_range("2025-01-01", periods=120, name="t"),
    ):
        scores = ranker.predict(frame.set_axis(index, axis=0))
        assert isinstance(scores, pd.DataFrame)
        pd.testing.assert_index_equal(scores.index, index, exact=False)
        np.testing.assert_allclose(matrix(scores), expected, rtol=1e-6, atol=1e-7)
    double = pd.MultiIndex.from_product([range(12), list("abcdefghij")], names=["n", "c"])
    scores = ranker.predict(frame.set_axis(double, axis=0))
    assert scores.index.equals(double)
    assert scores.index.names == ["n", "c"]


def test_polars_eager_and_lazy(ranker, rows, expected):
    frame = pl.from_arrow(rows)
    eager, lazy = ranker.predict(frame), ranker.predict(frame.lazy())
    assert isinstance(eager, pl.DataFrame)
    assert isinstance(lazy, pl.LazyFrame)
    for scores in (eager, lazy):
        np.testing.assert_allclose(matrix(scores), expected, rtol=1e-6, atol=1e-7)


def test_pyarrow_tables_and_batches(ranker, rows, expected):
    for source in (rows, rows.combine_chunks().to_batches()[0], pa.concat_tables([rows.slice(0, 7), rows.slice(7)])):
        scores = ranker.predict(source)
        assert isinstance(scores, pa.Table)
        np.testing.assert_allclose(matrix(scores), expected, rtol=1e-6, atol=1e-7)


def test_duckdb_relations(ranker, rows, expected):
    relation = duckdb.from_arrow(rows)
    scores = ranker.predict(relation)
    assert isinstance(scores, duckdb.DuckDBPyRelation)
    np.testing.assert_allclose(matrix(scores), expected, rtol=1e-6, atol=1e-7)


def test_files_of_every_format(ranker, rows, expected, tmp_path):
    pq.write_table(rows, tmp_path / "a.parquet")
    feather.write_feather(rows, tmp_path / "b.arrow")
    for path in (tmp_path / "a.parquet", str(tmp_path / "b.arrow"), [str(tmp_path / "a.parquet")]):
        np.testing.assert_allclose(matrix(ranker.predict(path)), expected, rtol=1e-6, atol=1e-7)


def test_csv_is_read_with_the_types_of_training(tmp_path, settings):
    """Ids with leading zeros are text in training; a CSV of digits must not turn them into numbers."""
    ids = [f"{i:04d}" for i in range(20)]
    table = pa.table({"item": ids * 10, "age": [float(i % 7) for i in range(200)], "click": [i % 2 for i in range(200)]})
    ranker = mg.Ranker(task=["click"], epochs=1, experts=2, expert_hidden=4, threads=1, device="cpu")
    schema = Schema(features=(Feature(name="item", kind="sparse"), Feature(name="age", kind="dense")), tasks=(Task(name="click"),))
    ranker.fit(table, schema=schema, progress="none")
    new = table.drop_columns(["click"]).slice(0, 40)
    pc_csv.write_csv(new, tmp_path / "new.csv")
    one, two = ranker.predict(new), ranker.predict(tmp_path / "new.csv")
    np.testing.assert_allclose(one["click"].to_numpy(), two["click"].to_numpy(), rtol=1e-6)


def test_one_row_at_a_time_equals_all_at_once(ranker, rows, expected):
    found = np.concatenate([matrix(ranker.predict(rows.slice(i, 1))) for i in range(40)])
    np.testing.assert_allclose(found, expected[:40], rtol=1e-5, atol=1e-6)


def test_threads_do_not_read_each_others_predictions(ranker, rows, expected):
    """Servers predict in a pool of threads. Without a lock, they got wrong scores and errors."""
    starts = list(range(0, rows.num_rows, 7)) * 8
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda start: ranker.predict(rows.slice(start, 7)), starts))
    for start, scores in zip(starts, found, strict=True):
        np.testing.assert_allclose(matrix(scores), expected[start : start + 7], rtol=1e-5, atol=1e-6)


def test_the_order_of_columns_and_of_rows_does_not_matter(ranker, rows, expected):
    turned = rows.select(list(reversed(rows.column_names)))
    np.testing.assert_allclose(matrix(ranker.predict(turned)), expected, rtol=1e-6, atol=1e-7)
    order = np.random.default_rng(0).permutation(len(rows))
    np.testing.assert_allclose(matrix(ranker.predict(rows.take(order))), expected[order], rtol=1e-5, atol=1e-6)


def test_bias_features_labels_and_other_columns_are_not_read(ranker, rows, expected):
    odd = rows
    for name, values in (("position", pa.array([7] * 120)), ("depth", pa.array(["text"] * 120)), ("click", pa.array([9.5] * 120))):
        odd = odd.append_column(name, values)
    odd = odd.append_column("unheard of", pa.array([{"a": 1}] * 120))
    np.testing.assert_array_equal(matrix(ranker.predict(odd)), expected)


def test_unseen_ids_nulls_and_new_extremes_are_scored(ranker, rows):
    odd = rows.slice(0, 4)
    columns = {
        "user": pa.array([10**12, None, -5, 2**63 - 1]),
        "country": pa.array(["Atlantis", None, "\N{GRINNING FACE}", "x" * 100_000]),
        "tags": pa.array([["never", "seen"], [], None, ["t0"] * 1000], pa.list_(pa.string())),
        "codes": pa.array([[2**31 - 1], None, [], [None]], pa.list_(pa.int32())),
        "age": pa.array([np.nan, None, np.inf, -1e308]),
        "price": pa.array([1e308, -np.inf, None, 5e-324]),
    }
    for name, values in columns.items():
        odd = odd.set_column(odd.column_names.index(name), name, values)
    scores = matrix(ranker.predict(odd))
    assert np.isfinite(scores).all()
    assert ((scores[:, :2] >= 0) & (scores[:, :2] <= 1)).all()


def test_columns_without_any_value_are_null_whatever_their_type(ranker, rows):
    frame = rows.slice(0, 5).to_pandas()
    typed = rows.slice(0, 5)
    for name in ("user", "country", "age"):
        frame[name] = None
        place = typed.column_names.index(name)
        typed = typed.set_column(place, name, pa.nulls(5, typed.schema.field(name).type))
    np.testing.assert_allclose(matrix(ranker.predict(frame)), matrix(ranker.predict(typed)), rtol=1e-6)


def test_integers_that_pandas_made_floats_are_the_same_ids(ranker, rows, expected):
    frame = rows.to_pandas()
    frame["user"] = frame["user"].astype(float)
    np.testing.assert_allclose(matrix(ranker.predict(frame)), expected, rtol=1e-6, atol=1e-7)
    frame["user"] = frame["user"].astype("Int32")
    np.testing.assert_allclose(matrix(ranker.predict(frame)), expected, rtol=1e-6, atol=1e-7)
    frame["country"] = frame["country"].astype("category")
    np.testing.assert_allclose(matrix(ranker.predict(frame)), expected, rtol=1e-6, atol=1e-7)


def test_no_rows_give_no_scores(ranker, rows):
    for source in (rows.slice(0, 0), pl.from_arrow(rows.slice(0, 0))):
        scores = ranker.predict(source)
        assert type(scores) is type(source)
        assert matrix(scores).shape == (0, 3)
    empty = ranker.predict(rows.to_pandas().iloc[:0])
    assert isinstance(empty, pd.DataFrame)
    assert list(empty.columns) == TASKS
    assert len(empty) == 0


def test_problems_are_named_all_at_once(ranker, rows, tmp_path):
    with pytest.raises(mg.InputError) as error:
        ranker.predict(rows.rename_columns(["usr", *rows.column_names[1:]]).drop_columns(["age"]))
    assert len(error.value.problems) == 2
    assert "'user' (needed to predict) is missing. Did you mean 'usr'?" in str(error.value)
    with pytest.raises(mg.InputError, match=r"column 'age' is string, but was double in training"):
        ranker.predict(rows.set_column(rows.column_names.index("age"), "age", pa.array(["x"] * 120)))
    for part in ("train", "test"):
        pq.write_table(rows, tmp_path / f"{part}.parquet")
    with pytest.raises(mg.InputError, match="a data set with several parts"):
        ranker.predict(tmp_path)
    with pytest.raises(mg.InputError, match="cannot be read from builtins"):
        ranker.predict(3)


def test_saved_and_loaded_it_predicts_the_same(ranker, rows, expected, tmp_path):
    ranker.save(tmp_path / "bundle")
    again = mg.Ranker.load(tmp_path / "bundle")
    np.testing.assert_array_equal(matrix(again.predict(rows)), expected)
    assert again.schema == ranker.schema


def test_the_input_is_left_as_it_was(ranker, rows):
    frame = rows.to_pandas()
    before = frame.copy(deep=True)
    ranker.predictor.predict(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_a_calibration_and_a_fusion_decide_what_is_predicted(log, ranker, rows, expected):
    """Platt by hand on the mean of the replicas; the score is the product of what was calibrated; raw leaves both out."""
    calibration = Calibration({"click": Calibrator("platt", {"a": 2.0, "b": -1.0})})
    fusion = Fusion({"click": 3.0, "watch": 0.5}, (Term("age", "log", -2.0),))
    table = pa.Table.from_batches(
        [batch for _, batch in Predictor(ranker.model, log.encoder, calibration, fusion).score(open_table(rows), ["user"])]
    )
    assert table.column_names == ["user", *TASKS, "score"]
    z = 2 * np.log(expected[:, 0] / (1 - expected[:, 0])) - 1
    click, (_, like, watch) = 1 / (1 + np.exp(-z)), expected.T
    age = rows["age"].to_numpy()
    factor = np.array([1.0 if np.isnan(one) else np.log1p(max(one, 0)) ** -2.0 for one in age])
    for name, own in (("click", click), ("like", like), ("watch", watch), ("score", click**3 * watch**0.5 * factor)):
        np.testing.assert_allclose(table[name].to_numpy(), own, rtol=1e-6, err_msg=name)
    assert table["user"].equals(rows["user"])
    whole = Predictor(ranker.model, log.encoder, calibration, fusion).predict(rows)
    assert whole.equals(table.drop_columns(["user"]))


def test_bias_features_of_labelled_rows_change_no_prediction(log, ranker, log_table):
    """Rows that carry a position predict and are judged as those whose position is another."""
    table = log_table(200, seed=4)
    other = table.set_column(table.column_names.index("position"), "position", pa.array([3] * 200))
    other = other.set_column(table.column_names.index("depth"), "depth", pa.array(np.linspace(0, 9, 200)))
    np.testing.assert_array_equal(matrix(ranker.predict(table)), matrix(ranker.predict(other)))
    for keep in ((), ("position", "depth")):  # columns to hand on are read, and still no inputs
        batches = [batch for _, batch in Predictor(ranker.model, log.encoder).score(open_table(other), keep)]
        kept = pa.Table.from_batches(batches)
        np.testing.assert_array_equal(matrix(kept.drop_columns(list(keep))), matrix(ranker.predict(table)))
    assert (
        evaluate_log(Predictor(ranker.model, log.encoder), table).tasks
        == evaluate_log(Predictor(ranker.model, log.encoder), other).tasks
    )
