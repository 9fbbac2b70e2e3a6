"""Measures what each task gains over another model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manygate import metrics
from manygate.data.rows import Rows
from manygate.metrics import paired
from manygate.model.problem import Problem
from manygate.results.summary import MetricGain
from manygate.schema import Task


def measured(logit_RNT: np.ndarray, rows: Rows, problem: Problem) -> dict[str, paired.Measured]:
    """The main metric of each task, to be compared with other models' on the same rows (:func:`gains`)."""
    cluster_N = clusters(rows)
    found = {}
    for t, task in enumerate(problem.tasks):
        label_N, weight_N = problem.labelled(rows, t)
        score_RN = (
            logit_RNT[..., t] if task.kind == "binary" else problem.labels[task.name].decode(logit_RNT[..., t].astype(np.float64))
        )
        found[task.name] = paired.measure_main(task.kind, label_N, score_RN, weight_N, cluster_N)
    return found


def clusters(rows: Rows) -> np.ndarray:
    """Numbers of the rows that move together: of their groups, or each its own."""
    return np.arange(len(rows)) if rows.group_B is None else np.unique(rows.group_B, return_inverse=True)[1]


def gains(one: dict[str, paired.Measured], other: dict[str, paired.Measured], tasks: Sequence[Task]) -> dict[str, MetricGain]:
    """What each task gains over another model: {task: {metric, gain, ci95, verdict, sd_replicas, se_test}}.

    Replica r of one is paired with replica r of the other. Replicas differ in initial weights and dropout; all see the same
    training rows in the same order. The interval takes in both kinds of chance, the seeds' and the test rows' (see
    :func:`manygate.metrics.uncertainty.paired_gain`).
    """
    found = {task.name: paired.gain(one[task.name], other[task.name]) for task in tasks}
    metric_of = {task.name: metrics.MAIN_METRIC[task.kind] for task in tasks}
    return {
        task: MetricGain(
            metric=metric_of[task],
            gain=gain.gain,
            ci95=gain.ci95,
            sd_replicas=gain.sd_replicas,
            se_test=gain.se_test,
            verdict=gain.verdict,
            reason=gain.reason,
        )
        for task, gain in found.items()
    }
