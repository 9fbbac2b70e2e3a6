"""Monitor: the validation metrics after each epoch, and the scores for early stopping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from manygate import metrics
from manygate.data.log_rows import LogRows
from manygate.errors import InputError, did_you_mean, setting
from manygate.metrics.power import FEWEST_TO_JUDGE
from manygate.metrics.sigmoid import sigmoid
from manygate.metrics.standardise import ERRORS, GUESS
from manygate.model.logits import Sliced
from manygate.model.problem import Problem
from manygate.model.replicas import Member
from manygate.schema import Task
from manygate.text import count_of

EXPLANATION = (
    "The mean over the tasks of how far each validation metric lies above guessing (AUC 0.5, R² 0), in standard errors of the "
    "validation rows, so that a noisy metric of few rows moves the choice of an epoch no more than the others."
)
"""Explains the validation score of ``monitor=mean`` in one sentence."""


@dataclass(frozen=True)
class Judged:
    """The result of an evaluation on the validation rows."""

    metric_RT: np.ndarray
    """The main metric of each replica and task. The history holds it."""
    own_RT: np.ndarray
    """The score of each task's own clock. A higher score is better."""
    score_M: np.ndarray
    """The score of each member, for the weights that it keeps. A higher score is better."""
    score_R: np.ndarray
    """The score of each replica: of the watched task, or the mean over its tasks. A higher score is better."""


class Watch(Protocol):
    """The interface that a training run calls after each epoch."""

    @property
    def split(self) -> Sliced:
        """The validation rows."""

    def name(self, task: Task) -> str:
        """Return the name of a task's metric."""

    def __call__(self, logit_RNT: np.ndarray, members: Sequence[Member]) -> Judged:
        """Judge the logits of the validation rows."""


class Monitor:
    """Computes each task's main validation metric, and the scores for early stopping.

    The score of a task's own clock is its main metric, or the watched metric if ``monitored`` is TASK/METRIC and names this task.
    The score of a member of one task is that of its task. So a task has the same rule in a model of its own and in one that shares.
    The score of a member of several tasks is that of the watched task. With "mean" it is the mean of the standardised main metrics
    (see :mod:`manygate.metrics.standardise`). Tasks whose metric is undefined on the validation rows are left out for every model.
    """

    def __init__(self, monitored: str, problem: Problem, rows: LogRows, split: Sliced):
        self.tasks, self.labels, self.rows, self.split = problem.tasks, problem.labels, rows, split
        self.task, self.metric = parse_monitor(monitored, problem.tasks, rows.group_B is not None)
        self.error_T = np.array([self._error(t) for t in range(len(self.tasks))])
        self.guess_T = np.array([GUESS[self.name(task)] for task in self.tasks])

    def name(self, task: Task) -> str:
        """Return the name of the metric reported for a task."""
        return metrics.MAIN_METRIC[task.kind]

    def __call__(self, logit_RNT: np.ndarray, members: Sequence[Member]) -> Judged:
        """Judge the logits of the validation rows."""
        main_RT = np.array([[self._main(t, logit_RN) for t, logit_RN in enumerate(logit_NT.T)] for logit_NT in logit_RNT])
        own_RT = main_RT.copy()
        if self.task is not None and self.metric is not None:
            own_RT[:, self.task] = [self._watched(self.task, self.metric, logit_NT[:, self.task]) for logit_NT in logit_RNT]
        score_R = np.array(self.by_replica(own_RT))
        score_M = [own_RT[m.replica, m.tasks[0]] if len(m.tasks) == 1 else score_R[m.replica] for m in members]
        return Judged(main_RT, own_RT, np.array(score_M), score_R)

    def by_replica(self, own_RT: np.ndarray) -> list[float]:
        """Return the score of each replica from the scores of its tasks' clocks.

        It is the score of the watched task, or the mean of the standardised scores.
        """
        if self.task is not None:
            return [float(score) for score in own_RT[:, self.task]]
        defined_T = np.isfinite(self.error_T)
        if not defined_T.any():
            return [float("nan")] * len(own_RT)
        standard_RT = (own_RT - self.guess_T) / self.error_T
        return [float(score) for score in standard_RT[:, defined_T].mean(axis=1)]

    def _main(self, t: int, logit_N: np.ndarray) -> float:
        label_N, weight_N = self.rows.label_BT[:, t], self.rows.weight_BT[:, t]
        if self.tasks[t].kind == "binary":
            return metrics.auc(label_N, logit_N, weight_N)
        decode = self.labels[self.tasks[t].name].decode
        return metrics.r2(decode(label_N.astype(np.float64)), decode(logit_N.astype(np.float64)), weight_N)

    def _error(self, t: int) -> float:
        """Return the standard error of a task's main metric on the validation rows. It is NaN if the metric is undefined."""
        label_N, kind = self.rows.label_BT[:, t].astype(np.float64), self.tasks[t].kind
        unit_N = label_N if kind == "binary" else self.labels[self.tasks[t].name].decode(label_N)
        return ERRORS[metrics.MAIN_METRIC[kind]](unit_N, self.rows.weight_BT[:, t])

    def _watched(self, t: int, metric: str, logit_N: np.ndarray) -> float:
        """Return a metric of a task, oriented so that a higher value is better."""
        kind, scale = self.tasks[t].kind, self.labels[self.tasks[t].name]
        of = sigmoid if kind == "binary" else scale.decode
        score_N, label_N = of(logit_N.astype(np.float64)), self.rows.label_BT[:, t].astype(np.float64)
        label_N = label_N if kind == "binary" else scale.decode(label_N)
        values, _ = metrics.task_metrics(kind, label_N, score_N, self.rows.weight_BT[:, t], self.rows.groups)
        return metrics.METRICS[metric].oriented(values[metric])


def parse_monitor(monitored: str, tasks: Sequence[Task], grouped: bool) -> tuple[int | None, str | None]:
    """Return the index of the monitored task and its metric.

    The index is None for the mean of all tasks. The metric is None for the main metric.
    """
    if monitored == "mean":
        return None, None
    names = [task.name for task in tasks]
    name, _, metric = monitored.rpartition("/") if "/" in monitored and monitored not in names else (monitored, "", "")
    if name not in names:
        options = ["mean", *names]
        raise InputError(f"monitor {monitored!r}: no task {name!r}.{did_you_mean(name, options)} Choose {', '.join(options)}.")
    task = tasks[names.index(name)]
    known = metrics.metric_names(task.kind, grouped)
    if metric and metric not in known:
        raise InputError(
            f"monitor {monitored!r}: a {task.kind} task has no metric {metric!r}.{did_you_mean(metric, known)} "
            f"Choose one of {', '.join(known)}{'' if grouped else ' (gauc needs a group column)'}."
        )
    return names.index(name), metric or None


def check_monitor(monitored: str, tasks: Sequence[Task], rows: LogRows) -> None:
    """Raise an :class:`InputError` if the monitored metric is undefined on the validation rows for any prediction."""
    t, metric = parse_monitor(monitored, tasks, rows.group_B is not None)
    if t is None or metric is None:
        return
    score_N = np.full(len(rows), 0.5)
    _, undefined = metrics.task_metrics(tasks[t].kind, rows.label_BT[:, t], score_N, rows.weight_BT[:, t], rows.groups)
    if metric in undefined:
        raise InputError(
            f"monitor {monitored!r} is undefined on the validation rows: {undefined[metric]}. "
            f"Give more of them, or watch another metric, for example {setting('monitor', tasks[t].name)}."
        )


def monitor_warnings(monitored: str, tasks: Sequence[Task], rows: LogRows) -> list[str]:
    """Warn if the watched metric is the GAUC of few groups. Then the best epoch is chosen largely by luck."""
    t, metric = parse_monitor(monitored, tasks, rows.group_B is not None)
    if t is None or metric != "gauc" or rows.groups is None:
        return []
    score_N = np.zeros(len(rows))
    groups = len(metrics.group_aucs(rows.label_BT[:, t], score_N, rows.groups, rows.weight_BT[:, t])[0])
    if groups >= FEWEST_TO_JUDGE:
        return []
    return [
        f"{setting('monitor', monitored)}: on the validation rows {count_of(groups, 'group')} "
        f"{'has' if groups == 1 else 'have'} labels of both classes, and GAUC is a mean over these alone. So the best epoch is "
        f"chosen largely by luck. Give validation more rows, or watch {setting('monitor', tasks[t].name)}."
    ]
