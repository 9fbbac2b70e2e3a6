"""Linear models: logistic regression for binary tasks and ridge regression for the others, both with an L2 penalty."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from manygate.baselines.linear_inputs import linear_inputs
from manygate.baselines.task_model import JUDGED, Fitted, TaskFailedError, TaskRows, check_labels

STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""The values of C, the inverse of the penalty. The one with the best main metric on validation is kept."""
STEPS = 1_000


def fit_linear(rows: TaskRows) -> Fitted:
    """Fit the model with every strength of the penalty, and keep the one with the best main metric on validation."""
    check_labels(rows)
    input_NC = linear_inputs(rows.log)
    if not input_NC["train"].shape[1]:
        raise TaskFailedError("no feature is there at serving: all are bias features")
    fits = [_fit(rows, input_NC, strength) for strength in STRENGTHS]
    return max(fits, key=lambda fit: rows.score("valid", fit.logit_N["valid"]))


def _fit(rows: TaskRows, input_NC: Mapping[str, Any], strength: float) -> Fitted:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    label_N, weight_N = rows.labels("train")
    kept_N = weight_N > 0
    binary = rows.kind == "binary"
    model = LogisticRegression(C=strength, max_iter=STEPS) if binary else Ridge(1 / strength, max_iter=STEPS, solver="sparse_cg")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            model.fit(input_NC["train"][kept_N], label_N[kept_N], weight_N[kept_N])
    except (ConvergenceWarning, ValueError) as error:
        raise TaskFailedError(f"scikit-learn reports: {' '.join(str(error).split())[:200]}") from None
    predict = model.decision_function if binary else model.predict
    return Fitted({part: predict(input_NC[part]) for part in JUDGED}, strength)
