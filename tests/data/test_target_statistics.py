"""Target statistics as inputs: their values in a loop, and that a row's own label and those of other parts never reach them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.data.rows import Rows
from manygate.data.statistics import SMOOTHING, Bag, draw_folds
from manygate.data.target_statistics import Folds, TargetStatistics, chosen_features, fit_target_statistics
from manygate.data.unseen import cold_rows
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.randomness import BASELINE_FOLDS, TARGET_FOLDS
from manygate.training.id_dropout import IdDropout

FEATURES = ("user", "country", "age", "tags", "codes")
"""All features of ids but the bias feature; the age is a number whose values are ids."""


@pytest.fixture(scope="module")
def log(encoded, log_table, repeating_ages, settings) -> EncodedLog:
    found: EncodedLog = encoded(repeating_ages(log_table(700)), config=settings(number_ids=5, target_statistics=True))
    return found


def ids_of(log: EncodedLog, part: str, feature: str, row: int) -> list[int]:
    rows = log.parts[part]
    if feature in ("tags", "codes"):
        id_n, offset = rows.bags[("tags", "codes").index(feature)]
        return id_n[offset[row] : offset[row + 1]].tolist()
    return [int(rows.id_BS[row, {"user": 0, "country": 1, "age": 3}[feature]])]


def expected(log: EncodedLog, feature: str, t: int, ids: list[int], fold: int | None) -> float:
    """The input of some ids, from the training rows outside a fold, one row after another."""
    train = log.parts["train"]
    weight_N = train.weight_BT[:, t].astype(float)
    weight_N /= weight_N[weight_N > 0].mean()
    prior = float((train.label_BT[:, t] * weight_N).sum() / weight_N.sum())
    fold_N = draw_folds(len(train), 0, t, TARGET_FOLDS)
    values = []
    for wanted in ids:
        smoothing = SMOOTHING / (4 * prior * (1 - prior)) if t < 2 else SMOOTHING
        total, weight = smoothing * prior, smoothing
        for row in range(len(train)):
            if weight_N[row] > 0 and fold_N[row] != fold:
                count = ids_of(log, "train", feature, row).count(wanted)
                total, weight = total + count * weight_N[row] * train.label_BT[row, t], weight + count * weight_N[row]
        mean = total / weight
        values.append(math.log(mean / (1 - mean) * (1 - prior) / prior) if t < 2 else mean - prior)
    return float(np.mean(values)) if values else 0.0


def column(log: EncodedLog, feature: str, t: int) -> int:
    """The number of a statistic among the numbers: age, price and depth come first."""
    return 3 + 3 * FEATURES.index(feature) + t


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_inputs_in_a_loop(log, feature, part):
    rows = log.parts[part]
    assert rows.number_BM.shape == (len(rows), 3 + 3 * len(FEATURES))
    for t in range(3):
        fold_N = draw_folds(len(log.parts["train"]), 0, t, TARGET_FOLDS)
        for row in range(0, len(rows), 60):
            fold = int(fold_N[row]) if part == "train" else None
            wanted = expected(log, feature, t, ids_of(log, part, feature, row), fold)
            assert rows.number_BM[row, column(log, feature, t)] == pytest.approx(wanted, abs=1e-5)


def test_the_inputs_are_named_and_belong_to_their_features(log):
    inputs = [i for i in log.encoder.inputs(3) if i.source]
    assert [i.name for i in inputs][:4] == [
        "mean click of user",
        "mean like of user",
        "mean watch of user",
        "mean click of country",
    ]
    assert [i.feature for i in inputs] == [name for name in FEATURES for _ in range(3)]
    assert {(i.kind, i.units, i.unfold, i.flag, i.bias) for i in inputs} == {("dense", 1, False, False, False)}
    assert not any(i.source for i in log.encoder.inputs(3) if i.kind != "dense")
    statistics = TargetStatistics(("click",), {"item": np.zeros((3, 1))})
    assert [name for name, _, _ in statistics.named(["mean click of item", "mean click of item'"])] == ["mean click of item''"]


def test_rare_ids_have_none_by_default(encoded, settings):
    plain = encoded(config=settings(number_ids=5))
    assert plain.encoder.statistics is None
    assert plain.parts["train"].number_BM.shape[1] == 3


@pytest.mark.parametrize(
    ("ids", "rows", "others", "tasks", "chosen"),
    [
        (200, 100_000, 0, 4, True),
        (201, 100_000, 0, 4, False),
        (201, 100_000, 50_000, 4, False),
        (16, 100_000, 0, 4, True),
        (15, 100_000, 0, 4, False),
        (200, 100_000, 0, 5, False),
        (0, 0, 100_000, 1, False),
        (16, 99_999, 0, 4, False),
    ],
    ids=["frequent", "rare", "null and unseen ids do not count", "several", "few ids", "many tasks", "no ids", "a small log"],
)
def test_frequent_ids_of_large_logs_have_them_by_default(ids, rows, others, tasks, chosen):
    id_n = np.concatenate([np.arange(rows) % max(ids, 1) + 2, np.arange(others) % 2])
    none_NT = np.zeros((len(id_n), tasks), np.float32)
    train, sizes = Rows(id_n[:, None].astype(np.int32), none_NT[:, :0], [], none_NT, none_NT), {"state": ids + 2}

    def bags_of(rows: Rows) -> dict[str, Bag]:
        return {"state": (rows.id_BS[:, 0], np.arange(len(rows) + 1))}

    assert chosen_features(train, bags_of, sizes, tasks, None) == ("state",) * chosen
    assert chosen_features(train.part(0, 10), bags_of, sizes, tasks, True) == ("state",)
    assert chosen_features(train, bags_of, sizes, tasks, False) == ()


def test_a_log_with_frequent_ids_reads_their_statistics(encoded, log_table, settings, monkeypatch):
    monkeypatch.setattr("manygate.data.target_statistics.LARGE_LOG", 8000)
    table = log_table(9000)
    column = table.schema.get_field_index("country")
    table = table.set_column(column, "country", pa.array([f"c{row % 16}" for row in range(9000)]))
    log = encoded(table, config=settings(fractions=(0.9, 0.05, 0.05)))
    assert list(log.encoder.statistics.table_VT) == ["country"]
    assert log.parts["test"].number_BM.shape[1] == log.parts["train"].number_BM.shape[1] == 3 + 3


def test_masked_labels_have_no_influence(encoded, log_table, repeating_ages, log, settings, monkeypatch):
    """Labels outside the sample space are other ones; those of validation and test rows are not given at all."""
    from manygate.data import encoded as module

    fit = module.fit_target_statistics

    def turned(train: Any, *arguments: Any) -> Any:
        label_BT = np.where(train.weight_BT > 0, train.label_BT, 1e6)
        return fit(replace(train, label_BT=label_BT), *arguments)

    monkeypatch.setattr(module, "fit_target_statistics", turned)
    other = encoded(repeating_ages(log_table(700)), config=settings(number_ids=5, target_statistics=True))
    for part, rows in other.parts.items():
        np.testing.assert_array_equal(rows.number_BM, log.parts[part].number_BM)


def test_a_row_s_own_label_does_not_reach_its_inputs(log):
    train = log.parts["train"]
    assert isinstance(train, Rows)
    bags = log.encoder.bags_of(train.id_BS, train.bags)
    sizes = {name: log.encoder.table_rows[name] for name in bags}

    def columns(rows: Rows) -> np.ndarray:
        fitted = fit_target_statistics(rows, lambda part: log.encoder.bags_of(part.id_BS, part.bags), sizes, log.schema.tasks, 0)
        return fitted.columns(0, bags, len(rows))

    before_NC = columns(train)
    np.testing.assert_array_equal(before_NC, train.number_BM[:, 3:])
    for row in range(0, len(train), 97):
        label_BT = train.label_BT.copy()
        label_BT[row, 0] = 1 - label_BT[row, 0]
        after_NC = columns(replace(train, label_BT=label_BT))
        own = before_NC[row, 0::3] - after_NC[row, 0::3]
        assert np.abs(own).max() < 0.05, "only the prior, which is the same for all folds, knows a row's own label"
        assert np.abs(before_NC[:, 0] - after_NC[:, 0]).max() > np.abs(own).max()


def test_folds_are_others_than_those_of_the_baselines():
    assert not np.array_equal(draw_folds(200, 0, 0, TARGET_FOLDS), draw_folds(200, 0, 0, BASELINE_FOLDS))


def test_serving_computes_the_inputs_of_test_rows_from_raw_rows(log, log_table, repeating_ages):
    table = repeating_ages(log_table(700))
    rows = log.encoder.encode(table.combine_chunks().to_batches()[0], labels=False, bias=False)
    statistics = log.encoder.statistics
    assert statistics is not None
    np.testing.assert_array_equal(rows.number_BM[:, 3:], statistics.columns(log.encoder.bags_of(rows.id_BS, rows.bags), len(rows)))
    test = {tuple(map(float, row)) for row in log.parts["test"].number_BM[:, 3:]}
    assert test <= {tuple(map(float, row)) for row in rows.number_BM[:, 3:]}


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own rates"])
def test_id_dropout_hides_the_statistics_of_the_ids_that_it_replaces(log, settings, own):
    config = settings(**({"replica_id_dropouts": (5.0, 0.0), "replicas": 2} if own else {"id_dropout": 5.0}))
    split, inputs = Split(log.parts["train"]), Problem.of(log.encoder, config).inputs
    batch = next(split.batches(0, 0, len(split)))
    after = IdDropout.of(split, inputs, config)(batch, 3)
    before = batch.for_replicas(2) if own else batch
    statistics = log.encoder.statistics
    assert statistics is not None
    for s, feature in ((0, "user"), (1, "country"), (3, "age")):
        dropped = (after.id_BS[..., s] == 1) & (before.id_BS[..., s] != 1)
        assert dropped.any()
        for t in range(3):
            m = column(log, feature, t)
            unseen = torch.tensor(statistics.table_VT[feature][1, t])
            found = after.number_BM[..., m]
            torch.testing.assert_close(found, torch.where(dropped, unseen, before.number_BM[..., m]), rtol=0, atol=0)
    rest = [0, 1, 2, *range(column(log, "tags", 0), before.number_BM.shape[-1])]
    torch.testing.assert_close(after.number_BM[..., rest], before.number_BM[..., rest], rtol=0, atol=0, equal_nan=True)


def test_gates_that_read_a_feature_read_its_statistics(log, settings):
    problem = Problem.of(log.encoder, settings())
    embedding = MultiTaskModel(problem, settings()).embedding
    columns = embedding.columns_of(["age"])
    assert len(columns) == log.encoder.scales["age"].units + 1 + 3 + 3, "place, null flag, embedding and three statistics"


def test_rows_are_no_colder_for_them(log):
    inputs = log.encoder.inputs(3)
    without = [i for i in inputs if not i.source]
    np.testing.assert_array_equal(cold_rows(inputs, log.parts["test"]), cold_rows(without, log.parts["test"]))


def test_folds_of_a_long_log_are_drawn_block_by_block(small_blocks):
    folds = Folds(160, seed=0, task=0)
    blocks = [folds(start, 50) for start in (0, 50, 100)]
    assert [np.bincount(fold_N, minlength=5).tolist() for fold_N in blocks] == [[10] * 5] * 3
    assert len({tuple(fold_N.tolist()) for fold_N in blocks}) == 3
    assert folds(150, 10).tolist() == Folds(160, seed=0, task=0)(150, 10).tolist()
    assert folds(0, 50).tolist() != Folds(160, seed=0, task=1)(0, 50).tolist()
