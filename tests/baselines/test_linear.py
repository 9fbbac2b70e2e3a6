"""The linear baseline against scikit-learn and against the equations of ridge regression."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from baseline_logs import encoded
from manygate.baselines import linear
from manygate.baselines.linear import STRENGTHS, fit_linear
from manygate.baselines.linear_inputs import linear_inputs
from manygate.baselines.task_model import TaskFailedError, TaskRows
from manygate.data.encoded import EncodedLog


@pytest.fixture(scope="module")
def log() -> EncodedLog:
    return encoded()


def test_logistic_regression_is_that_of_scikit_learn_with_the_best_c_on_validation(log: EncodedLog) -> None:
    inputs, train, valid = linear_inputs(log), log.parts["train"], log.parts["valid"]
    logits, aucs = {}, {}
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=1_000)
        weight_N = train.weight_BT[:, 0].astype(float)
        model.fit(inputs["train"], train.label_BT[:, 0], weight_N / weight_N.mean())
        score_N = model.decision_function(inputs["valid"])
        logits[strength] = model.decision_function(inputs["test"])
        aucs[strength] = roc_auc_score(valid.label_BT[:, 0], score_N, sample_weight=valid.weight_BT[:, 0])
    fitted = fit_linear(TaskRows(log, 0))
    assert fitted.chosen == max(aucs, key=lambda strength: aucs[strength])
    np.testing.assert_allclose(fitted.logit_N["test"], logits[fitted.chosen], atol=1e-6)


def test_labels_of_test_rows_do_not_choose_the_penalty(log: EncodedLog) -> None:
    test = log.parts["test"]
    changed = dataclasses.replace(log, parts={**log.parts, "test": dataclasses.replace(test, label_BT=1 - test.label_BT)})
    assert fit_linear(TaskRows(log, 0)).chosen == fit_linear(TaskRows(changed, 0)).chosen


def test_ridge_regression_solves_the_normal_equations_on_the_labelled_rows(log: EncodedLog) -> None:
    fitted = fit_linear(TaskRows(log, 1))
    train = log.parts["train"]
    kept_N = train.weight_BT[:, 1] > 0
    x_NC, y_N, w_N = linear_inputs(log)["train"].toarray()[kept_N], train.label_BT[kept_N, 1], train.weight_BT[kept_N, 1]
    w_N = w_N / w_N.mean()
    mean_C, mean = np.average(x_NC, axis=0, weights=w_N), np.average(y_N, weights=w_N)
    centred_NC = x_NC - mean_C
    hessian_CC = centred_NC.T @ (w_N[:, None] * centred_NC) + np.eye(x_NC.shape[1]) / fitted.chosen
    slope_C = np.linalg.solve(hessian_CC, centred_NC.T @ (w_N * (y_N - mean)))
    expected_N = (linear_inputs(log)["test"].toarray() - mean_C) @ slope_C + mean
    np.testing.assert_allclose(fitted.logit_N["test"], expected_N, atol=2e-3)


def test_failures_have_a_reason(log: EncodedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    train = log.parts["train"]
    same = dataclasses.replace(log, parts={**log.parts, "train": dataclasses.replace(train, label_BT=np.ones_like(train.label_BT))})
    with pytest.raises(TaskFailedError, match="all labels of the training rows are the same"):
        fit_linear(TaskRows(same, 0))
    monkeypatch.setattr(linear, "STEPS", 1)
    with pytest.raises(TaskFailedError, match=r"scikit-learn reports: .*converge"):
        fit_linear(TaskRows(log, 0))
