"""Reports every metric of every task over replicas, the ensemble and the calibration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from manygate import metrics
from manygate.data.rows import Rows
from manygate.metrics.table import Metric
from manygate.model.problem import Problem
from manygate.results.summary import Calibrated, JointReport, MetricSummary, Scores, TaskReport
from manygate.schema import Task
from manygate.schema.task import joint_name
from manygate.scoring.calibration import Calibration
from manygate.scoring.outputs import joint_outputs, outputs


def task_report(
    logit_RNT: np.ndarray,
    rows: Rows,
    problem: Problem,
    calibration: Calibration | None = None,
    more: Mapping[str, Metric] | None = None,
) -> dict[str, TaskReport]:
    """Report every metric of every task over replicas (mean, sd, 95 % interval, values) and of the ensemble.

    The report also has the ensemble's calibration curve. If a task has a calibrator, ``calibrated`` holds its method, and the
    metrics and the calibration curve of the calibrated ensemble. ``more`` holds metrics of the user by name.
    """
    tasks = problem.tasks
    output_RNT = outputs(logit_RNT, problem)
    labelled = [problem.labelled(rows, t) for t in range(len(tasks))]
    label_NT, weight_NT = (np.stack(columns, axis=1) for columns in zip(*labelled, strict=True))
    parts: dict[str, dict[str, object]] = {}
    for t, task in enumerate(tasks):
        label_N, weight_N = label_NT[:, t], weight_NT[:, t]
        parts[task.name] = _scores(task, output_RNT[..., t], label_N, weight_N, rows.group_B, more).to_tree()
        if calibration is not None and task.name in calibration.tasks:
            calibrator = calibration.tasks[task.name]
            after_N = calibrator.apply(output_RNT[..., t].mean(axis=0))
            values, undefined = metrics.task_metrics(task.kind, label_N, after_N, weight_N, rows.group_B, more)
            parts[task.name]["calibrated"] = Calibrated(
                method=calibrator.method,
                metrics={name: value if np.isfinite(value) else None for name, value in values.items()},
                undefined=undefined,
                calibration=metrics.calibration_curve(label_N, after_N, weight_N),
            )
    for t, joint in _joint_reports(output_RNT, label_NT, weight_NT, problem, rows.group_B).items():
        parts[tasks[t].name]["joint"] = joint
    return {name: TaskReport.model_validate(part) for name, part in parts.items()}


def _joint_reports(
    output_RNT: np.ndarray, label_NT: np.ndarray, weight_NT: np.ndarray, problem: Problem, group_N: np.ndarray | None
) -> dict[int, JointReport]:
    """Report the joint outputs of each task after another, on all rows of the funnel's first step."""
    tasks, steps, reports = problem.tasks, problem.targets.steps, {}
    joint_RNT, joint_label_NT, joint_weight_NT = joint_outputs(output_RNT, steps), label_NT.copy(), weight_NT.copy()
    for t, after in steps:
        happened_N = joint_label_NT[:, after] == 1
        joint_label_NT[:, t] = np.where(happened_N, label_NT[:, t], 0.0)
        joint_weight_NT[:, t] = np.where(happened_N, weight_NT[:, t], joint_weight_NT[:, after])
        scores = _scores(tasks[t], joint_RNT[..., t], joint_label_NT[:, t], joint_weight_NT[:, t], group_N)
        reports[t] = JointReport.model_validate({"name": joint_name(tasks[t], tasks), **scores.to_tree()})
    return reports


def _scores(
    task: Task,
    output_RN: np.ndarray,
    label_N: np.ndarray,
    weight_N: np.ndarray,
    group_N: np.ndarray | None,
    more: Mapping[str, Metric] | None = None,
) -> Scores:
    """Report every metric of one task over the replicas, and of the mean of the replicas."""
    per_replica = [metrics.task_metrics(task.kind, label_N, output_N, weight_N, group_N, more) for output_N in output_RN]
    table = metrics.METRICS | metrics.own_metrics(more)
    mean_N = output_RN.mean(axis=0)
    ensemble, undefined = metrics.task_metrics(task.kind, label_N, mean_N, weight_N, group_N, more)
    scores = Scores(
        kind=task.kind,
        rows=int((weight_N > 0).sum()),
        metrics={name: _over_replicas(table[name], [values[name] for values, _ in per_replica]) for name in per_replica[0][0]},
        ensemble={name: value if np.isfinite(value) else None for name, value in ensemble.items()},
        undefined=undefined,
    )
    if task.kind != "binary":
        return scores
    return scores.model_copy(update={"calibration": metrics.calibration_curve(label_N, mean_N, weight_N)})


def _over_replicas(metric: Metric, values: list[float]) -> MetricSummary:
    return metrics.interval(values, metric.lowest, metric.highest)
