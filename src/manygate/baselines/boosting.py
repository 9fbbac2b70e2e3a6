"""LightGBM: gradient-boosted trees, one model for each task (Ke et al., "LightGBM", NeurIPS 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from manygate.baselines.task_model import JUDGED, Fitted, TaskFailedError, TaskRows, check_labels
from manygate.baselines.tree_inputs import TreeInputs, tree_inputs

PARAMETERS: dict[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
}
ROUNDS, PATIENCE = 3_000, 50
STATISTICS, CATEGORIES = "target statistics", "native categories"
FORMS = {STATISTICS: True, CATEGORIES: False}
"""The forms of inputs, and whether ids have target statistics in it."""


def fit_boosting(rows: TaskRows) -> Fitted:
    """Fit a model with the default parameters, and keep what is best on validation by the main metric.

    That is the round, and whether ids have target statistics beside or in place of native categories. Where the rate of an id
    changes over time, statistics mislead; where ids have few rows, categories do.
    """
    check_labels(rows)
    forms = {name: tree_inputs(rows.log, rows.task, rows.seed, statistics) for name, statistics in FORMS.items()}
    if forms[STATISTICS].names == forms[CATEGORIES].names:
        return boost(rows, forms[CATEGORIES], PARAMETERS)
    fitted = [replace(boost(rows, inputs, PARAMETERS), inputs=name) for name, inputs in forms.items()]
    return max(fitted, key=lambda fit: rows.score("valid", fit.logit_N["valid"]))


def boost(rows: TaskRows, inputs: TreeInputs, parameters: Mapping[str, Any]) -> Fitted:
    """Fit a model on given columns with given parameters.

    The networks' main metric chooses the round: AUC, or R2 in the label's unit. R2 orders rounds as the squared error does, which
    LightGBM computes on the scale that models see. Where this scale is a logarithm, :meth:`TaskRows.metric` computes R2.
    """
    import lightgbm

    if not inputs.names:
        raise TaskFailedError("no feature is there at serving: all are bias features")
    binary, label = rows.kind == "binary", rows.log.encoder.labels[rows.log.schema.tasks[rows.task].name]
    settings = {
        **parameters,
        "objective": "binary" if binary else "regression",
        "metric": "auc" if binary else "none" if label.log else "l2",
        "seed": rows.seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": rows.threads,
        "verbosity": -1,
    }

    def dataset(part: str, reference: Any = None) -> Any:
        label_N, weight_N = rows.labels(part)
        kept_N = weight_N > 0
        return lightgbm.Dataset(
            inputs.value_NC[part][kept_N],
            label_N[kept_N],
            weight=weight_N[kept_N],
            categorical_feature=list(inputs.categories),
            reference=reference,
            params={"verbosity": -1},
        )

    def r2(value_N: np.ndarray, data: Any) -> tuple[str, float, bool]:
        return "r2", rows.metric(data.get_label(), value_N, data.get_weight()), True

    try:
        train = dataset("train")
        stop, judge = lightgbm.early_stopping(PATIENCE, verbose=False), r2 if label.log else None
        booster = lightgbm.train(settings, train, ROUNDS, valid_sets=[dataset("valid", train)], feval=judge, callbacks=[stop])
        logit_N = {part: np.asarray(booster.predict(inputs.value_NC[part], raw_score=True)) for part in JUDGED}
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise TaskFailedError(f"LightGBM reports: {' '.join(str(error).split())[:200]}") from None
    return Fitted(logit_N, float(booster.best_iteration))
