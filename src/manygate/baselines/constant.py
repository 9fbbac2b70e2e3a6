"""The constant: every row is predicted to have the mean label of the training rows."""

from __future__ import annotations

import math

import numpy as np

from manygate.baselines.task_model import JUDGED, Fitted, TaskFailedError, TaskRows
from manygate.data.statistics import prior_of


def fit_constant(rows: TaskRows) -> Fitted:
    """Return the weighted mean label of the training rows, as log-odds for a binary task."""
    label_N, weight_N = rows.labels("train")
    if not weight_N.any():
        raise TaskFailedError("no training row has a label")
    mean = prior_of(label_N, weight_N)
    if rows.kind == "binary":
        if not 0 < mean < 1:
            raise TaskFailedError("all labels of the training rows are the same")
        mean = math.log(mean / (1 - mean))
    return Fitted({part: np.full(len(rows.log.parts[part]), mean) for part in JUDGED}, mean)
