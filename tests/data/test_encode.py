"""The encoder: every id, number, list and label, however odd, gets the same row wherever and in whatever batch it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.config import DataConfig, RunConfig
from manygate.data.encode import Encoder
from manygate.data.fit import fit_encoder
from manygate.data.labels import encode_labels
from manygate.data.rows import NULL_ROW, UNKNOWN_ROW, Rows, Vocabulary
from manygate.data.table import open_table
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.schema import Feature, Schema, Task
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.scoring.predictor import Predictor

quick = settings(max_examples=40, deadline=None, derandomize=True)
KEEP_ALL = DataConfig(min_count=1)
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


def schema_of(*features: Feature, tasks: tuple[Task, ...] = (Task(name="click"),), **roles: Any) -> Schema:
    return Schema(features=features, tasks=tasks, **roles)


def sparse_encoder(values: pa.Array, config: DataConfig = KEEP_ALL, **changes: Any) -> Encoder:
    batch = pa.record_batch({"id": values, "click": np.arange(len(values)) % 2})
    return fit_encoder(schema_of(Feature(name="id", kind="sparse", **changes)), config, [("log", batch)])


def rows_of(encoder: Encoder, values: pa.Array) -> list[int]:
    rows: list[int] = encoder.encode(pa.record_batch({"id": values}), labels=False).id_BS[:, 0].tolist()
    return rows


def same(one: Rows, two: Rows) -> None:
    for name in ("id_BS", "number_BM", "label_BT", "weight_BT"):
        a, b = getattr(one, name), getattr(two, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)
    for (ids, offset), (other_ids, other_offset) in zip(one.bags, two.bags, strict=True):
        np.testing.assert_array_equal(ids, other_ids)
        np.testing.assert_array_equal(offset, other_offset)
        assert ids.dtype == other_ids.dtype
        assert offset.dtype == other_offset.dtype
    assert (one.group_B is None) == (two.group_B is None)
    if one.group_B is not None:
        np.testing.assert_array_equal(one.group_B, two.group_B)


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
    encoder = sparse_encoder(pa.array([1, 2, 3, 2**53]))
    frame = pd.DataFrame({"id": [3, None, 1, 7, 2**53], "click": 0})
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


def test_rare_ids_share_the_unknown_row():
    values = pa.array(["a"] * 3 + ["b"] * 2 + ["c"])
    assert rows_of(sparse_encoder(values, DataConfig(min_count=2)), pa.array(["a", "b", "c"])) == [2, 3, UNKNOWN_ROW]
    assert rows_of(sparse_encoder(values, DataConfig(min_count=2), min_count=3), pa.array(["a", "b"])) == [2, UNKNOWN_ROW]
    assert rows_of(sparse_encoder(values, DataConfig(min_count=9)), values) == [UNKNOWN_ROW] * 6


def test_hashed_ids_are_stable_and_within_the_table():
    encoder = sparse_encoder(pa.array(["a", "b"]), vocabulary="hash", buckets=10)
    rows = rows_of(encoder, pa.array([*"abcdefghijklmnopqrstuvwxyz", None]))
    assert rows[-1] == NULL_ROW
    assert min(rows[:-1]) >= 2
    assert max(rows[:-1]) < encoder.vocabularies["id"].rows == 12
    assert rows[:5] == rows_of(encoder, pa.array(list("abcde")))
    whole = sparse_encoder(pa.array([1, 2], pa.int8()), vocabulary="hash", buckets=1000)
    assert rows_of(whole, pa.array([5], pa.int8())) == rows_of(whole, pa.array([5], pa.int64()))


def test_the_order_of_the_log_does_not_matter(log_table, log_schema):
    table = log_table(300)
    order = np.random.default_rng(0).permutation(300)
    one, two = (
        fit_encoder(log_schema(), KEEP_ALL, [("log", t.combine_chunks().to_batches()[0])]) for t in (table, table.take(order))
    )
    assert {n: v.values.to_pylist() for n, v in one.vocabularies.items()} == {
        n: v.values.to_pylist() for n, v in two.vocabularies.items()
    }
    assert one.scales == two.scales
    for name, scale in one.labels.items():
        assert two.labels[name].mean == pytest.approx(scale.mean, rel=1e-12)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_fitting_and_encoding_do_not_depend_on_batches(log_table, log_schema, size):
    table = log_table(200)
    whole = table.combine_chunks().to_batches()[0]
    parts = [whole.slice(start, size) for start in range(0, 200, size)]
    one, two = (fit_encoder(log_schema(), KEEP_ALL, [("log", b) for b in batches]) for batches in ([whole], parts))
    assert one.scales == two.scales
    for name, vocabulary in one.vocabularies.items():
        assert vocabulary.values.equals(two.vocabularies[name].values)
    for name, scale in one.labels.items():
        assert two.labels[name].mean == pytest.approx(scale.mean, rel=1e-12)
        assert two.labels[name].sd == pytest.approx(scale.sd, rel=1e-9)
    same(one.encode(whole), Rows.concat([one.encode(part) for part in parts]))


def test_rows_where_and_concat(log_table, log_schema):
    table = log_table(90)
    encoder = fit_encoder(log_schema(), KEEP_ALL, [("log", table.combine_chunks().to_batches()[0])])
    rows = encoder.encode(table.combine_chunks().to_batches()[0])
    keep = np.arange(90) % 3 == 1
    same(rows.where(keep), encoder.encode(table.filter(pa.array(keep)).combine_chunks().to_batches()[0]))
    same(rows.where(np.ones(90, dtype=bool)), rows)
    assert len(rows.where(np.zeros(90, dtype=bool))) == 0
    same(Rows.concat([rows.where(np.zeros(90, dtype=bool)), rows, rows.where(np.zeros(90, dtype=bool))]), rows)


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
    other = batch.set_column(0, "user", batch["user"].cast(pa.string())).set_column(4, "age", batch["age"].cast(pa.string()))
    with pytest.raises(InputError) as error:
        encoder.check(other.schema, "new.parquet", ["user", "age", "country"])
    assert [problem.split(" is ")[0] for problem in error.value.problems] == [
        "new.parquet: column 'user'",
        "new.parquet: column 'age'",
    ]


def test_a_training_split_without_rows_is_an_error():
    with pytest.raises(InputError, match="training split has no rows"):
        fit_encoder(schema_of(Feature(name="age", kind="dense")), KEEP_ALL, [])


def test_constant_and_null_columns_are_reported():
    batch = pa.record_batch({"c": [1.0, 1.0], "n": pa.array([None, None], pa.string()), "click": [0, 1]})
    features = Feature(name="c", kind="dense"), Feature(name="n", kind="sparse")
    encoder = fit_encoder(schema_of(*features), KEEP_ALL, [("log", batch)])
    assert "'c' is always 1 in training" in encoder.warnings[0]
    assert "'n' is null in every training row" in encoder.warnings[1]
    assert encoder.encode(batch).id_BS.tolist() == [[NULL_ROW], [NULL_ROW]]


def test_large_vocabularies_are_counted_in_parts(monkeypatch):
    from manygate.data import fit

    values = pa.array([i % 50 for i in range(500)] + [99])
    whole = sparse_encoder(values, DataConfig(min_count=2)).vocabularies["id"].values
    merges = []
    merge = fit._Counter._merge

    def eager(self: Any) -> None:
        merges.append(len(self.parts))
        merge(self)

    monkeypatch.setattr(fit._Counter, "_merge", eager)
    batches = [
        ("log", pa.record_batch({"id": values.slice(s, 10), "click": [0] * len(values.slice(s, 10))})) for s in range(0, 501, 10)
    ]
    parts = fit_encoder(schema_of(Feature(name="id", kind="sparse")), DataConfig(min_count=2), batches)
    assert parts.vocabularies["id"].values.equals(whole)
    assert merges


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
            same(again.encode(batch), encoder.encode(batch))


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
    same(round_trip(of_bags, tmp_path / "bags").encode(batch), of_bags.encode(batch))


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


def test_a_vocabulary_keeps_its_rows_for_a_slice():
    vocabulary = Vocabulary(pa.array(["a", "b", "c"]))
    assert vocabulary.rows_of(pa.array(["z", "c", None, "a"]).slice(1)).tolist() == [4, NULL_ROW, 2]


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


@pytest.mark.parametrize("least", [1, 2, 3, 4])
def test_an_id_is_known_from_min_count_rows_on(least):
    """a once, b twice, c three times, null twice; rows: 0 null, 1 unknown, known ids from 2 on in order."""
    schema = Schema(features=(Feature(name="x", kind="sparse"), Feature(name="bag", kind="bag")), tasks=(Task(name="click"),))
    ids = ["a", "b", "b", "c", "c", "c", None, None]
    log = pa.record_batch({"x": ids, "bag": [[one] for one in ids], "click": [0, 1] * 4})
    encoder = fit_encoder(schema, DataConfig(min_count=least), [("log", log)])
    known = [one for one, count in (("a", 1), ("b", 2), ("c", 3)) if count >= least]
    place = {one: 2 + at for at, one in enumerate(known)} | {None: 0}
    rows = encoder.encode(log)
    expected = [place.get(one, 1) for one in ids]
    assert rows.id_BS[:, 0].tolist() == expected
    assert rows.bags[0][0].tolist() == expected
    assert encoder.vocabularies["x"].rows == 2 + len(known)
