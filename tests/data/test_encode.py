"""The encoder: every id, number, list and label, however odd, gets the same row wherever and in whatever batch it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders import KEEP_ALL, assert_same_rows, rows_of, schema_of, sparse_encoder
from manygate.config import DataConfig, RunConfig
from manygate.data.encode import Encoder
from manygate.data.fit import fit_encoder
from manygate.data.rows import NULL_ROW, UNKNOWN_ROW
from manygate.data.table import open_table
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.schema import Feature
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.scoring.predictor import Predictor

quick = settings(max_examples=40, deadline=None, derandomize=True)
EMOJI = "\N{GRINNING FACE}\N{ZERO WIDTH JOINER}\N{WOMAN}"
TYPES: dict[str, tuple[pa.DataType, list[Any], Any]] = {
    "int8": (pa.int8(), [-128, 0, 127], 5),
    "int32": (pa.int32(), [-(2**31), -1, 2**31 - 1], 5),
    "int64": (pa.int64(), [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1], 2**53),
    "uint64": (pa.uint64(), [0, 2**63, 2**64 - 1], 2**64 - 2),
    "string": (pa.string(), ["", "a", "A", " a", EMOJI, "\0", "x" * 100_000, "null", "NaN"], "x" * 99_999),
    "large_string": (pa.large_string(), ["a", EMOJI], "b"),
    "bool": (pa.bool_(), [False], True),
    "double": (pa.float64(), [-0.5, 1e308, 2.0, 5e-324], 3.0),
}


@pytest.mark.parametrize("kind", list(TYPES))
def test_ids_of_every_type_known_unseen_and_null(kind):
    arrow, known, unseen = TYPES[kind]
    values = pa.array([*known, None, *known], arrow)
    encoder = sparse_encoder(values)
    rows = rows_of(encoder, pa.array(known, arrow))
    assert sorted(rows) == list(range(2, 2 + len(known)))
    assert rows_of(encoder, pa.array([unseen, None], arrow)) == [UNKNOWN_ROW, NULL_ROW]
    assert encoder.vocabularies["id"].rows == 2 + len(known)
    assert encoder.inputs(8)[0].rows == 2 + len(known)
    assert rows_of(encoder, pa.array([], arrow)) == []


@quick
@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=40), st.integers(-(2**63), 2**63 - 1))
def test_any_integers(values, other):
    ids = pa.array(values, pa.int64())
    encoder = sparse_encoder(ids)
    rows = rows_of(encoder, ids)
    table = dict(zip(values, rows, strict=True))
    assert len(set(rows)) == len(set(values)), "one row per id"
    assert all((row == NULL_ROW) == (value is None) for value, row in table.items())
    assert rows_of(encoder, pa.array([other])) == [table.get(other, UNKNOWN_ROW)]


@quick
@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), min_size=1, max_size=40), st.text(max_size=12))
def test_any_text(values, other):
    ids = pa.array(values, pa.string())
    encoder = sparse_encoder(ids)
    table = dict(zip(values, rows_of(encoder, ids), strict=True))
    assert len(set(table.values())) == len(table)
    for kind in (pa.string(), pa.large_string()):
        assert rows_of(encoder, pa.array([other, None], kind)) == [table.get(other, UNKNOWN_ROW), NULL_ROW]


def test_ids_that_pandas_turned_into_floats_are_the_same_ids():
    encoder = sparse_encoder(pa.array([1, 2, 3, 2**53 - 1]))
    frame = pd.DataFrame({"id": [3, None, 1, 7, 2**53 - 1], "click": 0})
    assert frame["id"].dtype == np.float64
    ((_, batch),) = open_table(frame).batches()
    assert encoder.encode(batch, labels=False).id_BS[:, 0].tolist() == [4, NULL_ROW, 2, UNKNOWN_ROW, 5]
    fitted_on_floats = sparse_encoder(pa.array([1.0, 2.0, float("nan")]))
    assert rows_of(fitted_on_floats, pa.array([2, 1, 9])) == [3, 2, UNKNOWN_ROW]


@pytest.mark.parametrize(
    ("fitted", "later"),
    [(pa.array([1, 2], pa.uint64()), pa.array([-1])), (pa.array([1, 2]), pa.array([2**64 - 1], pa.uint64()))],
)
def test_ids_beyond_the_range_of_the_fitted_type_are_unknown(fitted, later):
    assert rows_of(sparse_encoder(fitted), later) == [UNKNOWN_ROW]


def test_fractions_where_ids_were_whole_are_named():
    with pytest.raises(InputError, match=r"column 'id' holds ids that do not fit int64.* Write whole numbers"):
        rows_of(sparse_encoder(pa.array([1, 2])), pa.array([1.5]))


def test_a_column_of_nulls_alone_is_null():
    assert rows_of(sparse_encoder(pa.array(["a", "b"])), pa.nulls(2)) == [NULL_ROW, NULL_ROW]


def test_bags_empty_null_with_nulls_inside_and_unseen():
    bags = pa.array([["a", "b"], [], None, ["a", None]], pa.list_(pa.string()))
    batch = pa.record_batch({"tags": bags, "click": [0, 1, 0, 1]})
    encoder = fit_encoder(schema_of(Feature(name="tags", kind="bag")), KEEP_ALL, [("log", batch)])
    ids, offset = encoder.encode(batch).bags[0]
    assert ids.tolist() == [2, 3, 2, NULL_ROW]
    assert offset.tolist() == [0, 2, 2, 2, 4]
    later = pa.record_batch({"tags": pa.array([["zebra", "b"]], pa.list_(pa.string()))})
    assert encoder.encode(later, labels=False).bags[0][0].tolist() == [UNKNOWN_ROW, 3]
    ids, offset = encoder.encode(batch.slice(2, 2)).bags[0]
    assert ids.tolist() == [2, NULL_ROW], "a slice of a batch has its own lists"
    assert offset.tolist() == [0, 0, 2]


def test_dense_columns_of_every_type():
    columns = {
        "f": pa.array([1.5, None, float("nan"), np.inf]),
        "i": pa.array([1, 2, None, 2**40]),
        "b": pa.array([True, False, None, True]),
        "click": [0, 1, 0, 1],
    }
    batch = pa.record_batch(columns)
    features = [Feature(name=name, kind="dense", encoding="minmax") for name in "fib"]
    encoder = fit_encoder(schema_of(*features), KEEP_ALL, [("log", batch)])
    number_BM = encoder.encode(batch).number_BM
    assert number_BM.dtype == np.float32
    assert np.isnan(number_BM).tolist() == [[False] * 3, [True, False, False], [True, True, True], [False] * 3]
    assert number_BM[:, 2].tolist()[:2] == [1.0, 0.0]
    assert encoder.null_share == {"f": 0.5, "i": 0.25, "b": 0.25}


def test_bias_features_are_absent_at_serving(log_table, log_schema):
    batch = log_table(60).combine_chunks().to_batches()[0]
    encoder = fit_encoder(log_schema(), KEEP_ALL, [("log", batch)])
    served = encoder.encode(batch.drop_columns(["position", "depth"]), labels=False, bias=False)
    full = encoder.encode(batch, labels=False)
    assert (served.id_BS[:, 2] == NULL_ROW).all()
    assert np.isnan(served.number_BM[:, 2]).all()
    np.testing.assert_array_equal(served.id_BS[:, :2], full.id_BS[:, :2])
    assert (full.id_BS[:, 2] >= 2).all()
    assert next(i for i in encoder.inputs(8) if i.name == "depth").flag


def test_a_retyped_column_is_named(log_table, log_schema):
    batch = log_table(60).combine_chunks().to_batches()[0]
    encoder = fit_encoder(log_schema(), KEEP_ALL, [("log", batch)])
    other = batch.set_column(0, "user", pa.array([[1]] * 60)).set_column(4, "age", batch["age"].cast(pa.string()))
    with pytest.raises(InputError) as error:
        encoder.check(other.schema, "new.parquet", ["user", "age", "country"])
    assert [problem.split(" is ")[0] for problem in error.value.problems] == [
        "new.parquet: column 'user'",
        "new.parquet: column 'age'",
    ]


def round_trip(encoder: Encoder, path: Any) -> Encoder:
    config = RunConfig(dim=2, experts=2, expert_hidden=(2,))
    save_bundle(path, Predictor(MultiTaskModel(Problem.of(encoder, config), config), encoder))
    return load_bundle(path).encoder


def test_an_encoder_read_from_a_bundle_gives_identical_rows(log_table, log_schema, tmp_path):
    train, new = (log_table(rows, seed).combine_chunks().to_batches()[0] for rows, seed in ((300, 1), (100, 2)))
    for encoding in ("piecewise", "minmax", "standard", "log1p"):
        encoder = fit_encoder(log_schema(), DataConfig(min_count=3, encoding=encoding), [("log", train)])
        again = round_trip(encoder, tmp_path / encoding)
        assert again.inputs(5) == encoder.inputs(5)
        assert again.types == {name: encoder.types[name] for name in again.types}
        assert (again.scales, again.labels, again.null_share) == (encoder.scales, encoder.labels, encoder.null_share)
        for batch in (train, new):
            assert_same_rows(again.encode(batch), encoder.encode(batch))


@pytest.mark.parametrize("kind", list(TYPES))
def test_vocabularies_of_every_type_round_trip(kind, tmp_path):
    arrow, known, unseen = TYPES[kind]
    encoder = sparse_encoder(pa.array(known, arrow))
    again = round_trip(encoder, tmp_path / "bundle")
    values = pa.array([unseen, None, *reversed(known)], arrow)
    assert rows_of(again, values) == rows_of(encoder, values)
    assert again.vocabularies["id"].values.equals(encoder.vocabularies["id"].values)
    bags = pa.array([known, [unseen], None], pa.list_(arrow))
    batch = pa.record_batch({"id": bags, "click": [0, 1, 0]})
    of_bags = fit_encoder(schema_of(Feature(name="id", kind="bag")), KEEP_ALL, [("log", batch)])
    assert_same_rows(round_trip(of_bags, tmp_path / "bags").encode(batch), of_bags.encode(batch))


def test_hashed_and_empty_vocabularies_round_trip(tmp_path):
    hashed = sparse_encoder(pa.array(["a", "b"]), vocabulary="hash", buckets=10)
    empty = sparse_encoder(pa.array(["a", "b"]), DataConfig(min_count=5))
    for number, encoder in enumerate((hashed, empty)):
        again = round_trip(encoder, tmp_path / str(number))
        values = pa.array(["a", "c", None])
        assert rows_of(again, values) == rows_of(encoder, values)
        assert again.inputs(4) == encoder.inputs(4)


@quick
@given(st.lists(st.floats(allow_nan=True), min_size=1, max_size=20))
def test_numbers_become_finite_places_or_null(values):
    batch = pa.record_batch({"n": pa.array(values, pa.float64()), "click": [0] * len(values)})
    encoder = fit_encoder(schema_of(Feature(name="n", kind="dense")), KEEP_ALL, [("log", batch)])
    place = encoder.encode(batch).number_BM[:, 0]
    np.testing.assert_array_equal(np.isnan(place), np.isnan(values))
    assert not np.isinf(place).any()


WHOLE = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


@pytest.mark.parametrize("later", [pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("fitted", WHOLE, ids=str)
@pytest.mark.parametrize("changes", [{}, {"vocabulary": "hash", "buckets": 10_000}], ids=["vocabulary", "hashed"])
def test_whole_ids_that_come_as_floats_are_the_same_ids_and_nan_is_null(fitted, later, changes):
    """No dataframe in between, which would have made the NaN null already."""
    encoder = sparse_encoder(pa.array([1, 2, None, 3], fitted), **changes)
    one, two, three = rows_of(encoder, pa.array([1, 2, 3], fitted))
    assert rows_of(encoder, pa.array([3.0, float("nan"), None, 1.0, 2.0], later)) == [three, NULL_ROW, NULL_ROW, one, two]
    assert rows_of(encoder, pa.array([float("nan")] * 2, later)) == [NULL_ROW] * 2
    if not changes:
        assert (one, two, three) == (2, 3, 4)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()], ids=str)
def test_nan_among_ids_fitted_as_floats_is_no_id(kind):
    encoder = sparse_encoder(pa.array([0.5, float("nan"), 1.5, float("nan")], kind))
    assert encoder.vocabularies["id"].rows == 2 + 2
    assert rows_of(encoder, pa.array([float("nan"), 1.5, 0.5, None], kind)) == [NULL_ROW, 3, 2, NULL_ROW]


def test_nan_in_a_bag_of_whole_ids_is_null():
    bags = pa.array([[1, 2], [3]], pa.list_(pa.int64()))
    batch = pa.record_batch({"ids": bags, "click": [0, 1]})
    encoder = fit_encoder(schema_of(Feature(name="ids", kind="bag")), KEEP_ALL, [("log", batch)])
    later = pa.record_batch({"ids": pa.array([[3.0, float("nan")], [1.0]], pa.list_(pa.float64()))})
    ((value, offset),) = encoder.encode(later, labels=False).bags
    assert (value.tolist(), offset.tolist()) == ([4, NULL_ROW, 2], [0, 2, 3])


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (["7", "007"], "'007' was an id in training"),
        (["7", "-07"], "'-07' was an id in training"),
        (["1.10", "7"], "'1.10' was an id in training"),
        (["7.0", "8"], "'7.0' was an id in training"),
        (["+7", "8"], r"'\+7' was an id in training"),
        (["u7", "alice"], r"no id of training is a number \('alice', for instance\)"),
        (["7", "1e3", "u7", "0", "0.5", "-7"], None),
        (["10", "100"], None),
    ],
)
@pytest.mark.parametrize("served", [pa.array([7]), pa.array([7.0]), pa.array([7], pa.uint8())], ids=lambda values: str(values.type))
def test_numbers_stand_for_text_only_where_all_text_is_written_as_numbers_are(known, reason, served):
    encoder = sparse_encoder(pa.array(known))
    schema = pa.schema({"id": served.type})
    if reason is None:
        encoder.check(schema, "new.parquet", ["id"])
        assert rows_of(encoder, served) == rows_of(encoder, pa.array(["7"]))
    else:
        with pytest.raises(InputError, match=rf"new\.parquet: column 'id' is {served.type}, but was string in training: {reason}"):
            encoder.check(schema, "new.parquet", ["id"])
    encoder.check(pa.schema({"id": pa.string()}), "new.parquet", ["id"])


def test_numbers_stand_for_text_in_bags_alike():
    batch = pa.record_batch({"id": pa.array([["007"], ["7"]], pa.list_(pa.string())), "click": [0, 1]})
    encoder = fit_encoder(schema_of(Feature(name="id", kind="bag")), KEEP_ALL, [("log", batch)])
    with pytest.raises(InputError, match=r"column 'id' is list<item: int64>, but was list<item: string> in training: '007'"):
        encoder.check(pa.schema({"id": pa.list_(pa.int64())}), "new", ["id"])
