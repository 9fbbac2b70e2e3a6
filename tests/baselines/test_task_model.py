"""The rows and the labels of one task."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from baseline_logs import encoded
from manygate.baselines.task_model import TaskFailedError, TaskRows, check_labels


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
