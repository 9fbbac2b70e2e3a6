"""The table of all metrics. A new metric needs an entry here and a function in ``metrics/task.py``, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from manygate.errors import InputError, raise_all
from manygate.metrics import task
from manygate.metrics.task import BINS, Floats, Kind, Weights, kept_rows
from manygate.text import count_of


class Metric(NamedTuple):
    """One metric of a task.

    ``compute`` takes labels, scores and weights. With ``by_group`` it takes the groups before the weights. ``lowest`` and
    ``highest`` are the ends of the metric's range. ``better`` is the direction of better values: ``higher``, ``lower``, or ``one``
    for a ratio. Verdicts and validation use the ``main`` metric of a task's kind.
    """

    label: str
    kind: Kind
    better: Literal["higher", "lower", "one"]
    meaning: str
    compute: Callable[..., float]
    lowest: float = 0.0
    highest: float = math.inf
    main: bool = False
    by_group: bool = False

    @property
    def arrow(self) -> str:
        """The sign that shows which way is better."""
        return {"higher": "↑", "lower": "↓", "one": "→ 1"}[self.better]

    def oriented(self, value: float) -> float:
        """Transform a value so that higher is better.

        >>> METRICS["auc"].oriented(0.75), METRICS["log_loss"].oriented(0.5), METRICS["calibration"].oriented(1.25)
        (0.75, -0.5, -0.25)
        """
        return {"higher": value, "lower": -value, "one": -abs(value - 1)}[self.better]


METRICS: dict[str, Metric] = {
    "auc": Metric(
        "AUC",
        "binary",
        "higher",
        "The chance that a row with label 1 is scored above a row with label 0; 0.5 is guessing, 1 is perfect.",
        task.auc,
        highest=1.0,
        main=True,
    ),
    "gauc": Metric(
        "GAUC",
        "binary",
        "higher",
        "AUC within each group (for example a user), averaged over groups by their weight; 0.5 is guessing, 1 is perfect.",
        task.gauc,
        highest=1.0,
        by_group=True,
    ),
    "log_loss": Metric(
        "log loss", "binary", "lower", "Mean negative log-likelihood of the labels, in nats; 0 is perfect.", task.log_loss
    ),
    "normalised_entropy": Metric(
        "normalised entropy",
        "binary",
        "lower",
        "Log loss divided by that of always predicting the base rate; below 1 is better than the base rate.",
        task.normalised_entropy,
    ),
    "calibration": Metric(
        "observed / expected",
        "binary",
        "one",
        "Observed over expected positives: 1 is right, above 1 predicts too few, below 1 too many.",
        task.calibration,
    ),
    "ece": Metric(
        "ECE",
        "binary",
        "lower",
        f"Expected calibration error: mean distance between predicted and observed rates over {BINS} bins; 0 is perfect.",
        task.ece,
        highest=1.0,
    ),
    "average_precision": Metric(
        "average precision",
        "binary",
        "higher",
        "Precision averaged over the levels of recall; the base rate is guessing, 1 is perfect.",
        task.average_precision,
        highest=1.0,
    ),
    "rmse": Metric("RMSE", "regression", "lower", "Root of the mean squared error, in the label's unit; 0 is perfect.", task.rmse),
    "mae": Metric("MAE", "regression", "lower", "Mean absolute error, in the label's unit; 0 is perfect.", task.mae),
    "r2": Metric(
        "R²",
        "regression",
        "higher",
        "Share of the label's variance that is explained; 0 is no better than the mean, 1 is perfect.",
        task.r2,
        lowest=-math.inf,
        highest=1.0,
        main=True,
    ),
}
MAIN_METRIC: dict[str, str] = {metric.kind: name for name, metric in METRICS.items() if metric.main}


def metric_label(name: str) -> str:
    """Return the name of a metric for reports.

    >>> metric_label("auc"), metric_label("ndcg_10")
    ('AUC', 'ndcg 10')
    """
    return METRICS[name].label if name in METRICS else name.replace("_", " ")


def metric_names(kind: str, grouped: bool = True) -> list[str]:
    """Return the names of the metrics of a kind of task. Metrics by group are included only if ``grouped`` is true.

    >>> metric_names("regression")
    ['rmse', 'mae', 'r2']
    """
    return [name for name, metric in METRICS.items() if metric.kind == kind and (grouped or not metric.by_group)]


def task_metrics(
    kind: Kind,
    label_N: ArrayLike,
    score_N: ArrayLike,
    weight_N: Weights = None,
    group_N: ArrayLike | None = None,
    more: Mapping[str, Metric] | None = None,
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the values of all metrics of a task, and the reason for each value that is undefined.

    ``score_N`` holds probabilities (binary) or predictions in the label's unit (regression). ``gauc`` needs ``group_N``. ``more``
    holds metrics of the user by name. Those of another kind of task are left out.

    >>> values, reasons = task_metrics("binary", [0, 0], [0.1, 0.3])
    >>> round(values["log_loss"], 4), values["auc"], reasons["auc"]
    (0.231, nan, 'only one class among 2 rows: all labels are 0')
    """
    columns: tuple[Any, ...] = (label_N, score_N, weight_N)
    values, grouped = {}, group_N is not None
    table = METRICS | own_metrics(more)
    for name, metric in table.items():
        if metric.kind == kind and (grouped or not metric.by_group):
            rows = (label_N, score_N, group_N, weight_N) if metric.by_group else columns
            values[name] = _computed(name, metric, rows)
    return values, {name: _why_undefined(name, *kept_rows(*columns)) for name, value in values.items() if math.isnan(value)}


def named_metrics(
    names: Sequence[str], label_N: ArrayLike, score_N: ArrayLike, weight_N: Weights = None
) -> tuple[dict[str, float], dict[str, str]]:
    """Do the same as :func:`task_metrics` for some metrics alone.

    >>> named_metrics(["rmse"], [0, 0], [1, 7])
    ({'rmse': 5.0}, {})
    """
    values = {name: METRICS[name].compute(label_N, score_N, weight_N) for name in names}
    rows = kept_rows(label_N, score_N, weight_N)
    return values, {name: _why_undefined(name, *rows) for name, value in values.items() if math.isnan(value)}


def own_metrics(more: Mapping[str, Metric] | None) -> dict[str, Metric]:
    """Metrics of the user's own by name. Raises :class:`InputError` for a name that is taken, or a value that is no Metric."""
    if more is not None and not isinstance(more, Mapping):
        raise InputError(f"metrics: expected a mapping of names to manygate.Metric, found {type(more).__name__}.")
    taken = [f"metric {name!r}: there is a metric of this name. Choose another name." for name in more or {} if name in METRICS]
    wrong = [
        f"metric {name!r}: expected a manygate.Metric, found {type(value).__name__}. Wrap the function: "
        "Metric(label, kind, better, meaning, compute)."
        for name, value in (more or {}).items()
        if not isinstance(value, Metric)
    ]
    raise_all(taken + wrong)
    raise_all(
        f"metric {name!r}: kind is {metric.kind!r} and better is {metric.better!r}; "
        "expected binary or regression, and higher, lower or one."
        for name, metric in (more or {}).items()
        if metric.kind not in ("binary", "regression") or metric.better not in ("higher", "lower", "one")
    )
    return dict(more or {})


def _computed(name: str, metric: Metric, rows: tuple[Any, ...]) -> float:
    """The value of a metric; what goes wrong in a metric of the user's own is an error that names it."""
    if name in METRICS:
        return metric.compute(*rows)
    try:
        return float(metric.compute(*rows))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"metric {name!r}: its function must take labels, predictions and weights and return a number ({error})."
        ) from error


def _why_undefined(name: str, label_N: Floats, score_N: Floats, weight_N: Floats) -> str:
    rows = count_of(label_N.size, "row")
    if label_N.size == 0:
        return "no labelled row (null, outside the sample space, or of weight 0)"
    for what, value_N in (("label", label_N), ("prediction", score_N)):
        if bad := np.count_nonzero(~np.isfinite(value_N)):
            return f"the {what} is not a finite number in {bad} of {rows}"
    if name == "calibration":
        return f"no positives are expected among {rows}: all predictions are 0"
    if label_N.min() == label_N.max():
        problem = "no variance to explain" if name == "r2" else "only one class"
        return f"{problem} among {rows}: all labels are {label_N[0]:g}"
    return "no group has both classes" if name in METRICS else "the metric's function returned NaN"
