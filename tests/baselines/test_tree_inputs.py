"""The columns of a tree model: which there are, and that no label of a validation or test row reaches them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from baseline_logs import SCHEMA, encoded
from manygate.baselines import tree_inputs
from manygate.data import statistics
from manygate.data.encoded import EncodedLog


@pytest.fixture(scope="module")
def log() -> EncodedLog:
    return encoded()


def test_columns_by_feature(log: EncodedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = tree_inputs.tree_inputs(log, 0, seed=0)
    assert inputs.names == ("price", "item", "mean label of item", "rows of item", "device", "length of tags", "mean label of tags")
    assert inputs.categories == (1, 4)
    monkeypatch.setattr(tree_inputs, "MOST_CATEGORIES", 100)
    without = tree_inputs.tree_inputs(log, 0, seed=0)
    assert without.names == ("price", "mean label of item", "rows of item", "device", "length of tags", "mean label of tags")
    assert without.categories == (3,)
    few = tree_inputs.tree_inputs(log, 0, seed=0, most_categories=0)
    assert few.names == without.names, "device has no statistic, so it stays a category"
    plain = tree_inputs.tree_inputs(log, 0, seed=0, with_statistics=False)
    assert (plain.names, plain.categories) == (("price", "item", "device", "length of tags"), (1, 2))


def test_values_are_those_of_the_encoded_rows(log: EncodedLog) -> None:
    inputs = tree_inputs.tree_inputs(log, 0, seed=0)
    for part, rows in log.parts.items():
        value_NC = inputs.value_NC[part]
        np.testing.assert_array_equal(value_NC[:, 0], rows.number_BM[:, 0])
        id_BS = rows.id_BS[:, :2]
        np.testing.assert_array_equal(value_NC[:, [1, 4]], np.where(id_BS > 1, id_BS, np.nan), "null and unseen ids are empty")
        assert part == "train" or (id_BS[:, 0] == 1).any()
        np.testing.assert_array_equal(value_NC[:, 5], np.diff(rows.bags[0][1]))
    assert np.isnan(inputs.value_NC["train"][:, 0]).any()


def test_statistics_of_test_rows_are_those_of_all_training_rows_and_of_training_rows_out_of_fold(log: EncodedLog) -> None:
    inputs = tree_inputs.tree_inputs(log, 0, seed=3)
    train, test = log.parts["train"], log.parts["test"]
    label_N, weight_N = train.label_BT[:, 0].astype(float), train.weight_BT[:, 0].astype(float)
    weight_N /= weight_N.mean()
    prior, fold_N = np.average(label_N, weights=weight_N), statistics.draw_folds(len(train), 3, 0)
    for row in range(40):
        same_N = train.id_BS[:, 0] == test.id_BS[row, 0]
        expected = ((weight_N * label_N)[same_N].sum() + 20 * prior) / (weight_N[same_N].sum() + 20)
        assert inputs.value_NC["test"][row, 2] == pytest.approx(expected)
        assert inputs.value_NC["test"][row, 3] == pytest.approx(weight_N[same_N].sum() if test.id_BS[row, 0] != 1 else 0)
        same_N = (train.id_BS[:, 0] == train.id_BS[row, 0]) & (fold_N != fold_N[row])
        expected = ((weight_N * label_N)[same_N].sum() + 20 * prior) / (weight_N[same_N].sum() + 20)
        assert inputs.value_NC["train"][row, 2] == pytest.approx(expected)


@pytest.mark.parametrize("t", range(3))
def test_no_label_of_a_validation_or_test_row_reaches_a_column(log: EncodedLog, t: int) -> None:
    """Other labels and weights there change nothing. A statistic that read them would differ."""
    parts = dict(log.parts)
    for part in ("valid", "test"):
        rows = log.parts[part]
        parts[part] = dataclasses.replace(rows, label_BT=1 - rows.label_BT, weight_BT=3 * rows.weight_BT + 1)
    before, after = (tree_inputs.tree_inputs(each, t, seed=0) for each in (log, dataclasses.replace(log, parts=parts)))
    for part in log.parts:
        np.testing.assert_array_equal(before.value_NC[part], after.value_NC[part])


def test_a_masked_label_of_training_reaches_no_column(log: EncodedLog) -> None:
    train = log.parts["train"]
    label_BT = np.where(train.weight_BT > 0, train.label_BT, 50.0)
    changed = dataclasses.replace(log, parts={**log.parts, "train": dataclasses.replace(train, label_BT=label_BT)})
    for part in log.parts:
        np.testing.assert_array_equal(
            tree_inputs.tree_inputs(log, 1, 0).value_NC[part], tree_inputs.tree_inputs(changed, 1, 0).value_NC[part]
        )


def test_without_features_there_are_no_columns() -> None:
    bias = SCHEMA.model_copy(update={"features": tuple(feature.model_copy(update={"bias": True}) for feature in SCHEMA.features)})
    log = encoded()
    log.encoder.schema = bias
    inputs = tree_inputs.tree_inputs(log, 0, 0)
    assert inputs.names == ()
    assert inputs.value_NC["test"].shape == (len(log.parts["test"]), 0)
