"""The LightGBM baseline against a plain call of LightGBM on the same arrays."""

from __future__ import annotations

import dataclasses

import lightgbm
import numpy as np
import pytest

from baseline_logs import encoded
from manygate.baselines.boosting import PARAMETERS, boost, fit_boosting
from manygate.baselines.task_model import TaskFailedError, TaskRows
from manygate.baselines.tree_inputs import TreeInputs, tree_inputs
from manygate.data.encoded import EncodedLog


@pytest.fixture(scope="module")
def log() -> EncodedLog:
    return encoded()


@pytest.mark.parametrize("t", [0, 1, 2])
def test_equals_a_plain_call_on_the_same_arrays(log: EncodedLog, t: int) -> None:
    rows, inputs = TaskRows(log, t, seed=5), tree_inputs(log, t, 5)
    binary, kept = t != 1, {part: r.weight_BT[:, t] > 0 for part, r in log.parts.items()}

    def arrays(part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own = log.parts[part]
        weight_N = own.weight_BT[kept[part], t].astype(float)
        return inputs.value_NC[part][kept[part]], own.label_BT[kept[part], t], weight_N / weight_N.mean()

    value_NC, label_N, weight_N = arrays("train")
    train = lightgbm.Dataset(value_NC, label_N, weight=weight_N, categorical_feature=[1, 4], params={"verbosity": -1})
    value_NC, label_N, weight_N = arrays("valid")
    valid = lightgbm.Dataset(value_NC, label_N, weight=weight_N, reference=train, params={"verbosity": -1})
    booster = lightgbm.train(
        {
            "objective": "binary" if binary else "regression",
            "metric": "auc" if binary else "l2",
            "learning_rate": 0.05,
            "num_leaves": 31,
            "min_data_in_leaf": 20,
            "feature_fraction": 0.8,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "seed": 5,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        },
        train,
        3_000,
        valid_sets=[valid],
        callbacks=[lightgbm.early_stopping(50, verbose=False)],
    )
    fitted = boost(rows, inputs, PARAMETERS)
    for part in ("valid", "test"):
        np.testing.assert_array_equal(fitted.logit_N[part], booster.predict(inputs.value_NC[part], raw_score=True))
    assert fitted.chosen == booster.best_iteration
    assert len(fitted.logit_N["test"]) == len(log.parts["test"])
    assert rows.score("test", fitted.logit_N["test"]) > (0.6 if t == 0 else -0.1)


@pytest.mark.parametrize("better", [True, False])
def test_validation_chooses_whether_ids_have_statistics(log: EncodedLog, better: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = TaskRows(log, 0, seed=2)
    fits = {known: boost(rows, tree_inputs(log, 0, 2, with_statistics=known), PARAMETERS) for known in (True, False)}
    assert (fits[True].logit_N["test"] != fits[False].logit_N["test"]).any()
    chosen = fits[better].logit_N["valid"]
    monkeypatch.setattr(TaskRows, "score", lambda _, part, logit_N: float(part == "valid" and (logit_N == chosen).all()))
    found = fit_boosting(rows)
    np.testing.assert_array_equal(found.logit_N["test"], fits[better].logit_N["test"])
    assert found.inputs == ("target statistics" if better else "native categories")


def test_seeds_differ_and_a_seed_repeats_itself(log: EncodedLog) -> None:
    first, second, again = (fit_boosting(TaskRows(log, 0, seed)).logit_N["test"] for seed in (0, 1, 0))
    assert (first == again).all()
    assert (first != second).any()
    assert np.isfinite(fit_boosting(TaskRows(log, 0, 2**63 - 1)).logit_N["test"]).all()


def test_masked_rows_and_labels_of_test_rows_have_no_influence(log: EncodedLog) -> None:
    parts = {
        part: dataclasses.replace(rows, label_BT=np.where(rows.weight_BT > 0, rows.label_BT, 9.0))
        for part, rows in log.parts.items()
    }
    parts["test"] = dataclasses.replace(parts["test"], label_BT=1 - parts["test"].label_BT)
    changed = dataclasses.replace(log, parts=parts)
    for before, after in zip(
        fit_boosting(TaskRows(log, 1)).logit_N.values(), fit_boosting(TaskRows(changed, 1)).logit_N.values(), strict=True
    ):
        np.testing.assert_array_equal(before, after)


def test_a_label_of_one_value_is_a_failure_with_a_reason(log: EncodedLog) -> None:
    train = log.parts["train"]
    same = dataclasses.replace(log, parts={**log.parts, "train": dataclasses.replace(train, label_BT=np.ones_like(train.label_BT))})
    with pytest.raises(TaskFailedError, match="all labels of the training rows are the same"):
        fit_boosting(TaskRows(same, 0))


def test_no_feature_and_an_error_of_the_library_are_failures_with_a_reason(log: EncodedLog) -> None:
    with pytest.raises(TaskFailedError, match="all are bias features"):
        boost(TaskRows(log, 0), TreeInputs({}, (), ()), PARAMETERS)
    with pytest.raises(TaskFailedError, match=r"LightGBM reports: .*num_leaves"):
        boost(TaskRows(log, 0), tree_inputs(log, 0, 0), {**PARAMETERS, "num_leaves": -1})
