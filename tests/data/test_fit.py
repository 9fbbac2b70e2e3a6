"""An encoder is fitted on training rows in one pass, whatever their order and their batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from encoders import KEEP_ALL, assert_same_rows, rows_of, schema_of, sparse_encoder
from manygate.config import DataConfig
from manygate.data.fit import fit_encoder
from manygate.data.rows import NULL_ROW, UNKNOWN_ROW, Rows
from manygate.errors import InputError
from manygate.schema import Feature, Schema, Task


def test_rare_ids_share_the_unknown_row():
    values = pa.array(["a"] * 3 + ["b"] * 2 + ["c"])
    assert rows_of(sparse_encoder(values, DataConfig(min_count=2)), pa.array(["a", "b", "c"])) == [2, 3, UNKNOWN_ROW]
    assert rows_of(sparse_encoder(values, DataConfig(min_count=2), min_count=3), pa.array(["a", "b"])) == [2, UNKNOWN_ROW]
    assert rows_of(sparse_encoder(values, DataConfig(min_count=9)), values) == [UNKNOWN_ROW] * 6


def test_of_too_many_ids_the_most_frequent_stay():
    """Among ids that are as frequent, the first in the order of ids stays, whatever the order of the log."""
    values = pa.array(["d"] * 2 + ["a"] * 2 + ["c"] * 5 + ["b"] * 2 + ["e"])
    for limit, kept in ((1, ["c"]), (2, ["a", "c"]), (3, ["a", "b", "c"]), (4, ["a", "b", "c", "d"]), (9, ["a", "b", "c", "d"])):
        for order in (values, values.take(pa.array(range(len(values) - 1, -1, -1)))):
            encoder = sparse_encoder(order, DataConfig(min_count=2, max_ids=limit))
            assert encoder.vocabularies["id"].values.to_pylist() == kept
    assert sparse_encoder(values, DataConfig(max_ids=1), max_ids=3).vocabularies["id"].rows == 5
    assert sparse_encoder(values, DataConfig(max_ids=1), vocabulary="hash", buckets=10).vocabularies["id"].rows == 12


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
    assert_same_rows(one.encode(whole), Rows.concat([one.encode(part) for part in parts]))


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
    merge = fit.IdCounter._merge

    def eager(self: Any) -> None:
        merges.append(len(self.parts))
        merge(self)

    monkeypatch.setattr(fit.IdCounter, "_merge", eager)
    batches = [
        ("log", pa.record_batch({"id": values.slice(s, 10), "click": [0] * len(values.slice(s, 10))})) for s in range(0, 501, 10)
    ]
    parts = fit_encoder(schema_of(Feature(name="id", kind="sparse")), DataConfig(min_count=2), batches)
    assert parts.vocabularies["id"].values.equals(whole)
    assert merges


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


@pytest.mark.parametrize(
    ("kind", "largest"), [(pa.float64(), 2.0**53), (pa.float32(), 2.0**24), (pa.list_(pa.float64()), 2.0**53)], ids=str
)
@pytest.mark.parametrize("vocabulary", ["ids", "hash"])
def test_ids_that_their_type_may_have_rounded_are_warned_of(kind, largest, vocabulary):
    feature = Feature(name="id", kind="bag" if pa.types.is_list(kind) else "sparse", vocabulary=vocabulary)
    for value, warned in ((largest, True), (-largest, True), (largest - 1, False), (float("nan"), False)):
        values = [[1.0], [value]] if feature.kind == "bag" else [1.0, value]
        batch = pa.record_batch({"id": pa.array(values, kind), "click": [0, 1]})
        encoder = fit_encoder(schema_of(feature), KEEP_ALL, [("log", batch), ("log", batch)])
        assert [
            f"column 'id' holds ids as {kind.value_type if feature.kind == 'bag' else kind}" in w for w in encoder.warnings
        ] == [True] * warned


def test_a_group_that_its_type_may_have_rounded_is_warned_of_and_whole_numbers_are_not():
    feature = Feature(name="id", kind="sparse")
    columns = {"id": pa.array([2**60, 2**60 + 1]), "user": [1.0, 2.0**60], "click": [0, 1]}
    encoder = fit_encoder(schema_of(feature, group="user"), KEEP_ALL, [("log", pa.record_batch(columns))])
    [warning] = encoder.warnings
    assert "column 'user' holds ids as double, for example 1152921504606846976." in warning
    assert rows_of(encoder, columns["id"]) == [2, 3]
