"""The constant baseline, by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from baseline_logs import encoded
from manygate.baselines.constant import fit_constant
from manygate.baselines.task_model import TaskFailedError, TaskRows


def test_the_constant_is_the_weighted_mean_of_training_labels() -> None:
    log = encoded()
    train = log.parts["train"]
    rate = (train.label_BT[:, 0] * train.weight_BT[:, 0]).sum() / train.weight_BT[:, 0].sum()
    fitted = fit_constant(TaskRows(log, 0))
    assert fitted.chosen == pytest.approx(math.log(rate / (1 - rate)), rel=1e-6)
    assert set(fitted.logit_N["test"]) == {fitted.chosen}
    assert len(fitted.logit_N["valid"]) == len(log.parts["valid"])
    assert fit_constant(TaskRows(log, 1)).chosen == pytest.approx(0, abs=1e-5)  # labels of a regression are standardised


def test_failures_have_a_reason() -> None:
    log = encoded()
    train = log.parts["train"]
    for changes, words in (
        ({"label_BT": np.ones_like(train.label_BT)}, "the same"),
        ({"weight_BT": np.zeros_like(train.weight_BT)}, "no training row has a label"),
    ):
        changed = dataclasses.replace(log, parts={**log.parts, "train": dataclasses.replace(train, **changes)})
        with pytest.raises(TaskFailedError, match=words):
            fit_constant(TaskRows(changed, 0))
