"""Measures what each task gains over another model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manygate import metrics
from manygate.data.log_rows import LogRows
from manygate.metrics import paired
from manygate.model.problem import Problem
from manygate.results.summary import MetricGain
from manygate.schema import Task


def measured(logit_RNT: np.ndarray, rows: LogRows, problem: Problem) -> dict[str, paired.Measured]:
    """Measure the main metric of each task. :func:`gains` compares it with another model on the same rows."""
    cluster_N = clusters(rows)
    by_task = {}
    for t, task in enumerate(problem.tasks):
        label_N, weight_N = problem.labelled(rows, t)
        score_RN = (
            logit_RNT[..., t] if task.kind == "binary" else problem.labels[task.name].decode(logit_RNT[..., t].astype(np.float64))
        )
        by_task[task.name] = paired.measure_main(task.kind, label_N, score_RN, weight_N, cluster_N)
    return by_task


def clusters(rows: LogRows) -> np.ndarray:
    """Return the number of each row's cluster of dependent rows, (N,): its group, or a number of its own without a group."""
    return np.arange(len(rows)) if rows.groups is None else rows.groups


def gains(model: dict[str, paired.Measured], reference: dict[str, paired.Measured], tasks: Sequence[Task]) -> dict[str, MetricGain]:
    """Return the gain of a model over a reference model, by task.

    Replica r of the model is paired with replica r of the reference. Replicas differ in initial weights and dropout. All have the
    same training rows in the same order. The interval covers the chance of the seeds and the chance of the test rows (see
    :func:`manygate.metrics.uncertainty.paired_gain`).
    """
    paired_gains = {task.name: paired.gain(model[task.name], reference[task.name]) for task in tasks}
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
        for task, gain in paired_gains.items()
    }
