"""Monitor: the validation metrics after each epoch, and the scores for early stopping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from manygate import metrics
from manygate.data.batches import Split
from manygate.data.rows import Rows
from manygate.errors import InputError, did_you_mean, setting
from manygate.metrics.sigmoid import sigmoid
from manygate.model.logits import Sliced
from manygate.model.problem import Problem
from manygate.model.replicas import Member
from manygate.schema import Task


class Watch(Protocol):
    """The interface that a training run calls after each epoch."""

    @property
    def split(self) -> Sliced:
        """The validation rows."""

    def name(self, task: Task) -> str:
        """Return the name of a task's metric."""

    def __call__(self, logit_RNT: np.ndarray, members: Sequence[Member]) -> tuple[np.ndarray, np.ndarray]:
        """Return metrics (R, T) and a score for each member (M,). A higher score is better."""


class Monitor:
    """Computes each task's main validation metric, and a score for each member. A higher score is better.

    ``monitored`` selects the score: "mean" (the mean main metric of a member's tasks), a task, or TASK/METRIC. If there is one
    model per task, the score of another task's model is the main metric of its own task.

    A model of one task keeps the weights of its task's best epoch. A sharing scheme with the mean score keeps the weights of one
    epoch for all tasks. This is a cost of sharing, and a part of the gain or loss in a comparison.
    """

    def __init__(self, monitored: str, problem: Problem, rows: Rows, split: Split):
        self.tasks, self.labels, self.rows, self.split = problem.tasks, problem.labels, rows, split
        self.task, self.metric = parse_monitor(monitored, problem.tasks, rows.group_B is not None)

    def name(self, task: Task) -> str:
        """Return the name of the metric reported for a task."""
        return metrics.MAIN_METRIC[task.kind]

    def __call__(self, logit_RNT: np.ndarray, members: Sequence[Member]) -> tuple[np.ndarray, np.ndarray]:
        """Return main metrics (R, T) and scores (M,)."""
        main_RT = np.array([[self._main(t, logit_RN) for t, logit_RN in enumerate(logit_NT.T)] for logit_NT in logit_RNT])
        score_M = np.array([self._score(member, main_RT[member.replica], logit_RNT[member.replica]) for member in members])
        return main_RT, score_M

    def by_replica(self, score_M: np.ndarray, members: Sequence[Member]) -> list[float]:
        """Return a score for each replica: the mean score of its models that have the monitored task, or of all its models."""
        monitored = [m for m, member in enumerate(members) if self.task is None or self.task in member.tasks]
        replica_m = np.array([members[m].replica for m in monitored])
        return [float(score_M[monitored][replica_m == r].mean()) for r in np.unique(replica_m)]

    def _main(self, t: int, logit_N: np.ndarray) -> float:
        label_N, weight_N = self.rows.label_BT[:, t], self.rows.weight_BT[:, t]
        if self.tasks[t].kind == "binary":
            return metrics.auc(label_N, logit_N, weight_N)
        decode = self.labels[self.tasks[t].name].decode
        return metrics.r2(decode(label_N.astype(np.float64)), decode(logit_N.astype(np.float64)), weight_N)

    def _score(self, member: Member, main_T: np.ndarray, logit_NT: np.ndarray) -> float:
        if self.task is None or self.task not in member.tasks:
            own_T = main_T[list(member.tasks)]
            return float(own_T[~np.isnan(own_T)].mean()) if not np.isnan(own_T).all() else float("nan")
        if self.metric is None:
            return float(main_T[self.task])
        kind, t = self.tasks[self.task].kind, self.task
        scale = self.labels[self.tasks[t].name]
        of = sigmoid if kind == "binary" else scale.decode
        score_N, label_N = of(logit_NT[:, t].astype(np.float64)), self.rows.label_BT[:, t].astype(np.float64)
        label_N = label_N if kind == "binary" else scale.decode(label_N)
        values, _ = metrics.task_metrics(kind, label_N, score_N, self.rows.weight_BT[:, t], self.rows.groups)
        return metrics.METRICS[self.metric].oriented(values[self.metric])


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


def check_monitor(monitored: str, tasks: Sequence[Task], rows: Rows) -> None:
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
