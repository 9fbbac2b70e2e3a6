"""The rows and the labels of one task."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from baseline_logs import SCHEMA, encoded, table
from manygate.baselines.boosting import PARAMETERS, boost, fit_boosting
from manygate.baselines.linear import fit_linear
from manygate.baselines.task_model import FitTask, TaskFailedError, TaskRows, check_labels
from manygate.baselines.tree_inputs import tree_inputs
from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.runs.preflight import prepare
from manygate.schema import Task


def test_scores_are_those_of_scikit_learn_on_the_labelled_rows() -> None:
    log = encoded()
    random, valid = np.random.default_rng(0), log.parts["valid"]
    for t, judge in ((0, roc_auc_score), (1, r2_score), (2, roc_auc_score)):
        rows, logit_N, kept_N = TaskRows(log, t), random.normal(size=len(valid)), valid.weight_BT[:, t] > 0
        expected = judge(valid.label_BT[kept_N, t], logit_N[kept_N], sample_weight=valid.weight_BT[kept_N, t])
        assert rows.score("valid", logit_N) == pytest.approx(expected)
        assert rows.kind == ("regression" if t == 1 else "binary")
        assert kept_N.all() == (t == 0)


@pytest.fixture(scope="module")
def skewed() -> EncodedLog:
    """A log with a skewed label that models see as its logarithm."""
    random, columns = np.random.default_rng(0), table(2_000)
    watch = np.exp(1.2 * np.nan_to_num(columns["watch"].to_numpy()) + 0.5 * random.normal(size=2_000))
    columns = columns.set_column(columns.column_names.index("watch"), "watch", pa.array(watch))
    schema = SCHEMA.model_copy(update={"tasks": (Task(name="watch", kind="regression", loss="log"),)})
    return prepare(columns, RunConfig.build({"fractions": (0.6, 0.2, 0.2)}), schema)


@pytest.mark.parametrize("fit", [fit_boosting, fit_linear])
def test_a_label_with_a_logarithm_is_judged_in_its_own_unit(skewed: EncodedLog, fit: FitTask) -> None:
    """As the networks are. A better squared error of logarithms may be a worse one of labels."""
    rows, scale, valid = TaskRows(skewed, 0), skewed.encoder.labels["watch"], skewed.parts["valid"]
    value_N = fit(rows).logit_N["valid"]
    label_N, weight_N = np.expm1(valid.label_BT[:, 0].astype(float) * scale.sd + scale.mean), valid.weight_BT[:, 0]
    expected = r2_score(label_N, np.expm1(value_N * scale.sd + scale.mean), sample_weight=weight_N)
    assert rows.score("valid", value_N) == pytest.approx(expected)


def test_boosting_stops_at_the_round_that_is_best_in_the_label_s_unit(skewed: EncodedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, inputs = TaskRows(skewed, 0), tree_inputs(skewed, 0, 0)
    best = boost(rows, inputs, PARAMETERS)
    monkeypatch.setattr(
        TaskRows, "metric", lambda _, label_N, value_N, weight_N: -np.average((label_N - value_N) ** 2, weights=weight_N)
    )
    by_logarithms = boost(rows, inputs, PARAMETERS)
    monkeypatch.undo()
    assert best.chosen != by_logarithms.chosen
    assert rows.score("valid", best.logit_N["valid"]) > rows.score("valid", by_logarithms.logit_N["valid"])


def test_labels_that_teach_nothing_are_refused() -> None:
    log = encoded()
    check_labels(TaskRows(log, 0))
    train = dataclasses.replace(log.parts["train"], weight_BT=np.zeros_like(log.parts["train"].weight_BT))
    with pytest.raises(TaskFailedError, match="no training row has a label"):
        check_labels(TaskRows(dataclasses.replace(log, parts={**log.parts, "train": train}), 0))


@pytest.mark.parametrize("part", ["train", "valid"])
def test_one_value_of_the_label_teaches_nothing_and_chooses_nothing(part: str) -> None:
    """AUC is undefined on such validation rows. LightGBM calls it 1 in the first round, and would stop there."""
    log = encoded()
    one = dataclasses.replace(log.parts[part], label_BT=np.zeros_like(log.parts[part].label_BT))
    reason = {"train": "all labels of the training rows are the same", "valid": "one value of it, so they cannot choose a model"}
    for t in range(3):
        with pytest.raises(TaskFailedError, match=reason[part]):
            check_labels(TaskRows(dataclasses.replace(log, parts={**log.parts, part: one}), t))


@pytest.mark.parametrize("unit", [2.0**-10, 2.0**10])
@pytest.mark.parametrize("fit", [fit_boosting, fit_linear])
def test_the_unit_of_the_weights_has_no_influence(fit: FitTask, unit: float) -> None:
    log = encoded()
    parts = {part: dataclasses.replace(rows, weight_BT=rows.weight_BT * np.float32(unit)) for part, rows in log.parts.items()}
    for t in (0, 1):
        before, after = fit(TaskRows(log, t)), fit(TaskRows(dataclasses.replace(log, parts=parts), t))
        np.testing.assert_allclose(after.logit_N["test"], before.logit_N["test"], rtol=1e-6, atol=1e-6)
        assert after.chosen == before.chosen
