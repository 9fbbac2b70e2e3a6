"""The rows and the labels of one task."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from baseline_logs import encoded
from manygate.baselines.boosting import fit_boosting
from manygate.baselines.linear import fit_linear
from manygate.baselines.task_model import FitTask, TaskFailedError, TaskRows, check_labels, labels_of


def test_scores_are_those_of_scikit_learn_on_the_labelled_rows() -> None:
    log = encoded()
    random, valid = np.random.default_rng(0), log.parts["valid"]
    for t, judge in ((0, roc_auc_score), (1, r2_score), (2, roc_auc_score)):
        rows, logit_N, kept_N = TaskRows(log, t), random.normal(size=len(valid)), valid.weight_BT[:, t] > 0
        expected = judge(valid.label_BT[kept_N, t], logit_N[kept_N], sample_weight=valid.weight_BT[kept_N, t])
        assert rows.score("valid", logit_N) == pytest.approx(expected)
        assert rows.kind == ("regression" if t == 1 else "binary")
        assert kept_N.all() == (t == 0)


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


def test_weights_have_the_mean_one_over_the_labelled_rows() -> None:
    rows = encoded().parts["train"]
    for t in range(3):
        label_N, weight_N = labels_of(rows, t)
        known_N = rows.weight_BT[:, t] > 0
        assert weight_N[known_N].mean() == pytest.approx(1)
        assert (weight_N[~known_N] == 0).all()
        np.testing.assert_allclose(weight_N / weight_N.max(), rows.weight_BT[:, t] / rows.weight_BT[:, t].max(), rtol=1e-6)
        np.testing.assert_array_equal(label_N, rows.label_BT[:, t])
    nothing = dataclasses.replace(rows, weight_BT=np.zeros_like(rows.weight_BT))
    assert not labels_of(nothing, 0)[1].any()


@pytest.mark.parametrize("unit", [2.0**-10, 2.0**10])
@pytest.mark.parametrize("fit", [fit_boosting, fit_linear])
def test_the_unit_of_the_weights_has_no_influence(fit: FitTask, unit: float) -> None:
    log = encoded()
    parts = {part: dataclasses.replace(rows, weight_BT=rows.weight_BT * np.float32(unit)) for part, rows in log.parts.items()}
    for t in (0, 1):
        before, after = fit(TaskRows(log, t)), fit(TaskRows(dataclasses.replace(log, parts=parts), t))
        np.testing.assert_allclose(after.logit_N["test"], before.logit_N["test"], rtol=1e-6, atol=1e-6)
        assert after.chosen == before.chosen
