"""Monitor: what validation watches."""

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
    """What a training run asks after each epoch."""

    @property
    def split(self) -> Sliced:
        """Rows to predict."""

    def name(self, task: Task) -> str:
        """The metric of a task."""

    def __call__(self, logit_RNT: np.ndarray, members: Sequence[Member]) -> tuple[np.ndarray, np.ndarray]:
        """Metrics (R, T) and one score per member (M,), higher is better."""


class Monitor:
    """What validation watches: each task's main metric, and one score per member, higher is better.

    ``watched`` is "mean" (the mean main metric of a member's tasks), a task, or TASK/METRIC. A model of one task watches its own
    task's main metric, unless the task watched is its own.

    A model per task keeps the weights of its task's best epoch; a sharing scheme, watched by the mean, keeps those of one epoch for
    all tasks. That is part of what sharing costs, and part of the gain or loss that a comparison shows.
    """

    def __init__(self, watched: str, problem: Problem, rows: Rows, split: Split):
        self.tasks, self.labels, self.rows, self.split = problem.tasks, problem.labels, rows, split
        self.task, self.metric = parse_monitor(watched, problem.tasks, rows.group_B is not None)

    def name(self, task: Task) -> str:
        """The metric reported for a task."""
        return metrics.MAIN_METRIC[task.kind]

    def __call__(self, logit_RNT: np.ndarray, members: Sequence[Member]) -> tuple[np.ndarray, np.ndarray]:
        """Main metrics (R, T) and scores (M,)."""
        main_RT = np.array([[self._main(t, logit_RN) for t, logit_RN in enumerate(logit_NT.T)] for logit_NT in logit_RNT])
        score_M = np.array([self._score(member, main_RT[member.replica], logit_RNT[member.replica]) for member in members])
        return main_RT, score_M

    def by_replica(self, score_M: np.ndarray, members: Sequence[Member]) -> list[float]:
        """One score per replica: of the watched task's model where there is one per task, else the mean of its models."""
        watching = [m for m, member in enumerate(members) if self.task is None or self.task in member.tasks]
        replica_m = np.array([members[m].replica for m in watching])
        return [float(score_M[watching][replica_m == r].mean()) for r in np.unique(replica_m)]

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
        values, _ = metrics.task_metrics(kind, label_N, score_N, self.rows.weight_BT[:, t], self.rows.group_B)
        return metrics.METRICS[self.metric].oriented(values[self.metric])


def parse_monitor(watched: str, tasks: Sequence[Task], grouped: bool) -> tuple[int | None, str | None]:
    """Index of the task watched (None: the mean of all) and its metric (None: the main one)."""
    if watched == "mean":
        return None, None
    names = [task.name for task in tasks]
    name, _, metric = watched.rpartition("/") if "/" in watched and watched not in names else (watched, "", "")
    if name not in names:
        options = ["mean", *names]
        raise InputError(f"monitor {watched!r}: no task {name!r}.{did_you_mean(name, options)} Choose {', '.join(options)}.")
    task = tasks[names.index(name)]
    known = metrics.metric_names(task.kind, grouped)
    if metric and metric not in known:
        raise InputError(
            f"monitor {watched!r}: a {task.kind} task has no metric {metric!r}.{did_you_mean(metric, known)} "
            f"Choose one of {', '.join(known)}{'' if grouped else ' (gauc needs a group column)'}."
        )
    return names.index(name), metric or None


def check_monitor(watched: str, tasks: Sequence[Task], rows: Rows) -> None:
    """Raise an :class:`InputError` if the metric to watch is undefined on validation rows, whatever a model predicts."""
    t, metric = parse_monitor(watched, tasks, rows.group_B is not None)
    if t is None or metric is None:
        return
    score_N = np.full(len(rows), 0.5)
    _, undefined = metrics.task_metrics(tasks[t].kind, rows.label_BT[:, t], score_N, rows.weight_BT[:, t], rows.group_B)
    if metric in undefined:
        raise InputError(
            f"monitor {watched!r} is undefined on the validation rows: {undefined[metric]}. "
            f"Give more of them, or watch another metric, for example {setting('monitor', tasks[t].name)}."
        )
