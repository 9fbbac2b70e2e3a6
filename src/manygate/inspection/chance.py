"""This module detects tasks that a model predicts no better than chance, by their main metric.

Shape suffixes: R replicas, N rows, T tasks.
"""

from __future__ import annotations

import numpy as np

from manygate import metrics
from manygate.data.rows import Rows
from manygate.inspection.importance import judge
from manygate.inspection.thresholds import CHANCE_ERRORS, TELLING_ERROR
from manygate.model.problem import Problem
from manygate.results.inspection import NoiseReport
from manygate.scoring.outputs import outputs

CHANCE = {"auc": 0.5, "r2": 0.0}


def chance_report(logit_RNT: np.ndarray, rows: Rows, problem: Problem) -> list[NoiseReport]:
    """Compare each task's main metric (of the ensemble) with chance: {task, metric, rows, value, se, chance, verdict}.

    ``verdict`` is ``better`` if the value lies more than two standard errors above chance (AUC .5, R2 0). Else it is ``noise``, or
    ``too few rows`` if two standard errors are more than .1: then a fair model could look like chance.
    """
    output_NT = outputs(logit_RNT, problem).mean(axis=0)
    report = []
    for t, task in enumerate(problem.tasks):
        value, influence_N = judge(problem, t, rows, output_NT[:, t])
        se = metrics.standard_error(influence_N, rows.groups)
        metric = metrics.MAIN_METRIC[task.kind]
        known = bool(np.isfinite(value) and np.isfinite(se))
        report.append(
            NoiseReport(
                task=task.name,
                metric=metric,
                rows=int((rows.weight_BT[:, t] > 0).sum()),
                value=float(value) if np.isfinite(value) else None,
                se=float(se) if np.isfinite(se) else None,
                chance=CHANCE[metric],
                verdict=verdict(float(value), float(se), CHANCE[metric]) if known else "too few rows",
            )
        )
    return report


def verdict(value: float, se: float, chance: float) -> str:
    """Judge a metric by its standard error and by its value at chance.
    >>> verdict(0.52, 0.005, 0.5), verdict(0.502, 0.005, 0.5), verdict(0.6, 0.08, 0.5)
    ('better', 'noise', 'too few rows')
    """
    if value - CHANCE_ERRORS * se > chance:
        return "better"
    return "noise" if CHANCE_ERRORS * se <= TELLING_ERROR else "too few rows"
