"""Reports every metric of every task over replicas, the ensemble and the calibration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from manygate import metrics
from manygate.data.log_rows import LogRows
from manygate.evaluation.cold_start import cold_start
from manygate.metrics.table import Metric
from manygate.model.problem import Problem
from manygate.results.summary import Calibrated, JointReport, MetricSummary, Scores, TaskReport
from manygate.schema import Task
from manygate.schema.task import joint_name
from manygate.scoring.calibration import Calibration
from manygate.scoring.outputs import task_output


def task_report(
    logit_RNT: np.ndarray,
    rows: LogRows,
    problem: Problem,
    calibration: Calibration | None = None,
    more: Mapping[str, Metric] | None = None,
    cold_N: np.ndarray | None = None,
) -> dict[str, TaskReport]:
    """Report every metric of every task over replicas (mean, sd, 95 % interval, values) and of the ensemble.

    The report also has the ensemble's calibration curve. If a task has a calibrator, ``calibrated`` holds its method, and the
    metrics and the calibration curve of the calibrated ensemble. ``more`` holds metrics of the user by name. ``cold_N`` is true for
    rows with an unseen id; if it is given and such a row has a label, ``cold_start`` has metrics apart for these rows.
    """
    parts: dict[str, dict[str, object]] = {}
    for t, task in enumerate(problem.tasks):
        label_N, weight_N = problem.labelled(rows, t)
        output_RN = task_output(logit_RNT, problem, t)
        parts[task.name] = _scores(task, output_RN, label_N, weight_N, rows.groups, more).to_tree()
        apart = None if cold_N is None else cold_start(task, output_RN, label_N, weight_N, cold_N)
        if apart is not None:
            parts[task.name]["cold_start"] = apart
        if calibration is not None and task.name in calibration.tasks:
            calibrator = calibration.tasks[task.name]
            after_N = calibrator.apply(output_RN.mean(axis=0))
            values, undefined = metrics.task_metrics(task.kind, label_N, after_N, weight_N, rows.groups, more)
            parts[task.name]["calibrated"] = Calibrated(
                method=calibrator.method,
                metrics={name: value if np.isfinite(value) else None for name, value in values.items()},
                undefined=undefined,
                calibration=metrics.calibration_curve(label_N, after_N, weight_N),
            )
    joint = _Joint(logit_RNT, rows, problem)
    for t in joint.before:
        name = problem.tasks[t].name
        parts[name]["joint"] = joint.report(t)
    return {name: TaskReport.model_validate(part) for name, part in parts.items()}


class _Joint:
    """Reports the joint outputs of a task after another, on all rows of the funnel's first step.

    Each is computed when it is needed: those of all tasks together take far more memory. ``before`` holds the step before a task.
    """

    def __init__(self, logit_RNT: np.ndarray, rows: LogRows, problem: Problem):
        self.logit_RNT, self.rows, self.problem = logit_RNT, rows, problem
        self.before = dict(problem.targets.steps)

    def report(self, t: int) -> JointReport:
        task = self.problem.tasks[t]
        scores = _scores(task, self.output(t), *self.labelled(t), self.rows.groups)
        return JointReport.model_validate({"name": joint_name(task, self.problem.tasks), **scores.to_tree()})

    def output(self, t: int) -> np.ndarray:
        """The product of the outputs of a task and of the steps before it, (R, N)."""
        output_RN = task_output(self.logit_RNT, self.problem, t)
        return output_RN * self.output(self.before[t]) if t in self.before else output_RN

    def labelled(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """The labels, 0 where a step before did not happen, and the weights on all rows of the first step; (N,) each."""
        label_N, weight_N = self.problem.labelled(self.rows, t)
        if t not in self.before:
            return label_N, weight_N
        before_N, before_weight_N = self.labelled(self.before[t])
        happened_N = before_N == 1
        return np.where(happened_N, label_N, 0.0), np.where(happened_N, weight_N, before_weight_N)


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
