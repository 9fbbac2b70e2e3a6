"""model + split -> per-task metrics over replicas, the ensemble beside them, and what sharing gains.

Shape suffixes: R replicas, N rows, T tasks, E experts, M members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from manygate import metrics, paired
from manygate.calibration import Calibration, fit_calibrator
from manygate.data.batches import Batch, Split
from manygate.data.encode import Rows
from manygate.data.labels import LabelScale
from manygate.errors import InputError, did_you_mean, raise_all
from manygate.model import Member, MultiTaskModel
from manygate.schema import Task, joint_name
from manygate.targets import Targets

ROWS_AT_ONCE = 8_192


def predict(model: MultiTaskModel, split: Sliced) -> np.ndarray:
    """Logits of every row, logit_RNT float32."""
    size = max(ROWS_AT_ONCE // len(model.members), 256)
    return np.concatenate([model.logits(batch).float().cpu().numpy() for batch in split.slices(size)], axis=1)


def outputs(logit_RNT: np.ndarray, tasks: Sequence[Task], labels: dict[str, LabelScale]) -> np.ndarray:
    """Probabilities of binary tasks and values, in the label's unit, of regression tasks; float64.

    Of a task that comes after another they are those given that it has happened.
    """
    output_RNT = logit_RNT.astype(np.float64)
    for t, task in enumerate(tasks):
        of = sigmoid if task.kind == "binary" else labels[task.name].decode
        output_RNT[..., t] = of(output_RNT[..., t])
    return output_RNT


def joint_outputs(output_RNT: np.ndarray, steps: Sequence[tuple[int, int]]) -> np.ndarray:
    """What is expected on any row: each step's output times the probability of the steps before it.

    >>> joint_outputs(np.array([[[0.5, 0.2]]]), [(1, 0)]).tolist()
    [[[0.5, 0.1]]]
    """
    joint_RNT = output_RNT.copy()
    for t, after in steps:
        joint_RNT[..., t] *= joint_RNT[..., after]
    return joint_RNT


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logit))


class Sliced(Protocol):
    """Rows to predict."""

    def slices(self, size: int) -> Iterator[Batch]:
        """All of them in order, ``size`` at a time."""


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

    def __init__(self, watched: str, tasks: Sequence[Task], rows: Rows, split: Split, labels: dict[str, LabelScale] | None = None):
        self.tasks, self.rows, self.split = tuple(tasks), rows, split
        self.labels = labels or {task.name: LabelScale() for task in tasks}
        self.task, self.metric = parse_monitor(watched, tasks, rows.group_B is not None)

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
        better = metrics.HIGHER_IS_BETTER[self.metric]
        value = values[self.metric]
        return -abs(value - 1) if better is None else value if better else -value


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
    known = metric_names(task.kind, grouped)
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
            f"Give more of them, or watch another metric, for example --monitor {tasks[t].name}."
        )


def metric_names(kind: str, grouped: bool) -> list[str]:
    """The metrics of a task kind."""
    names = ["auc", "gauc", "log_loss", "normalised_entropy", "calibration", "ece", "average_precision"]
    binary = [name for name in names if grouped or name != "gauc"]
    return binary if kind == "binary" else ["rmse", "mae", "r2"]


def task_report(
    logit_RNT: np.ndarray,
    rows: Rows,
    tasks: Sequence[Task],
    labels: dict[str, LabelScale],
    calibration: Calibration | None = None,
) -> dict[str, dict[str, Any]]:
    """Every metric of every task: mean, sd, 95 % interval and values over replicas; the ensemble; calibration.

    With a calibrator, ``calibrated`` says the same of the ensemble after it: method, metrics and calibration.
    """
    output_RNT = outputs(logit_RNT, tasks, labels)
    labelled = [task_labels(rows, t, labels[task.name]) for t, task in enumerate(tasks)]
    label_NT, weight_NT = (np.stack(columns, axis=1) for columns in zip(*labelled, strict=True))
    report = {}
    for t, task in enumerate(tasks):
        label_N, weight_N = label_NT[:, t], weight_NT[:, t]
        report[task.name] = _one_task(task, output_RNT[..., t], label_N, weight_N, rows.group_B)
        if calibration is not None and task.name in calibration.tasks:
            calibrator = calibration.tasks[task.name]
            after_N = calibrator.apply(output_RNT[..., t].mean(axis=0))
            values, undefined = metrics.task_metrics(task.kind, label_N, after_N, weight_N, rows.group_B)
            report[task.name]["calibrated"] = {
                "method": calibrator.method,
                "metrics": {name: value if np.isfinite(value) else None for name, value in values.items()},
                "undefined": undefined,
                "calibration": metrics.calibration_curve(label_N, after_N, weight_N),
            }
    for t, joint in _joint_reports(output_RNT, label_NT, weight_NT, tasks, rows.group_B).items():
        report[tasks[t].name]["joint"] = joint
    return report


def _joint_reports(
    output_RNT: np.ndarray, label_NT: np.ndarray, weight_NT: np.ndarray, tasks: Sequence[Task], group_N: np.ndarray | None
) -> dict[int, dict[str, Any]]:
    """Of each task after another the metrics of what is expected on any row, on all rows of the funnel's first step."""
    steps, reports = Targets.of(tasks).steps, {}
    joint_RNT, joint_label_NT, joint_weight_NT = joint_outputs(output_RNT, steps), label_NT.copy(), weight_NT.copy()
    for t, after in steps:
        happened_N = joint_label_NT[:, after] == 1
        joint_label_NT[:, t] = np.where(happened_N, label_NT[:, t], 0.0)
        joint_weight_NT[:, t] = np.where(happened_N, weight_NT[:, t], joint_weight_NT[:, after])
        own = _one_task(tasks[t], joint_RNT[..., t], joint_label_NT[:, t], joint_weight_NT[:, t], group_N)
        reports[t] = {"name": joint_name(tasks[t], tasks), **own}
    return reports


def fit_calibration(
    logit_RNT: np.ndarray,
    rows: Rows,
    tasks: Sequence[Task],
    labels: dict[str, LabelScale],
    method: str,
    names: Sequence[str] | None = None,
    log: str = "",
) -> Calibration:
    """A calibrator for each binary task (of ``names``), fitted on the ensemble's predictions of rows that trained nothing."""
    output_NT = outputs(logit_RNT, tasks, labels).mean(axis=0)
    calibrators, fitted, problems = {}, {}, []
    for t, task in enumerate(tasks):
        if task.kind != "binary" or (names is not None and task.name not in names):
            continue
        label_N, weight_N = task_labels(rows, t, labels[task.name])
        try:
            calibrators[task.name] = fit_calibrator(method, label_N, output_NT[:, t], weight_N)
        except InputError as error:
            problems += [f"task {task.name!r}: {problem}" for problem in error.problems]
        fitted[task.name] = {"log": log, "rows": int((weight_N > 0).sum())}
    raise_all(dict.fromkeys(problems))
    return Calibration(calibrators, fitted)


def task_labels(rows: Rows, t: int, scale: LabelScale) -> tuple[np.ndarray, np.ndarray]:
    """A task's labels in their unit and their weights, (N,) float64 each."""
    return scale.decode(rows.label_BT[:, t].astype(np.float64)), rows.weight_BT[:, t].astype(np.float64)


def _one_task(
    task: Task, output_RN: np.ndarray, label_N: np.ndarray, weight_N: np.ndarray, group_N: np.ndarray | None
) -> dict[str, Any]:
    per_replica = [metrics.task_metrics(task.kind, label_N, output_N, weight_N, group_N) for output_N in output_RN]
    mean_N = output_RN.mean(axis=0)
    ensemble, undefined = metrics.task_metrics(task.kind, label_N, mean_N, weight_N, group_N)
    report: dict[str, Any] = {
        "kind": task.kind,
        "rows": int((weight_N > 0).sum()),
        "metrics": {name: metrics.interval([values[name] for values, _ in per_replica]) for name in per_replica[0][0]},
        "ensemble": {name: value if np.isfinite(value) else None for name, value in ensemble.items()},
        "undefined": undefined,
    }
    if task.kind == "binary":
        report["calibration"] = metrics.calibration_curve(label_N, mean_N, weight_N)
    return report


def measured(
    logit_RNT: np.ndarray, rows: Rows, tasks: Sequence[Task], labels: dict[str, LabelScale] | None = None
) -> dict[str, paired.Measured]:
    """The main metric of each task, to be compared with other models' on the same rows (:func:`gains`)."""
    labels = labels or {task.name: LabelScale() for task in tasks}
    cluster_N = clusters(rows)
    found = {}
    for t, task in enumerate(tasks):
        label_N, weight_N = task_labels(rows, t, labels[task.name])
        score_RN = logit_RNT[..., t] if task.kind == "binary" else labels[task.name].decode(logit_RNT[..., t].astype(np.float64))
        found[task.name] = paired.measure_main(task.kind, label_N, score_RN, weight_N, cluster_N)
    return found


def clusters(rows: Rows) -> np.ndarray:
    """Numbers of the rows that move together: of their groups, or each its own."""
    return np.arange(len(rows)) if rows.group_B is None else np.unique(rows.group_B, return_inverse=True)[1]


def gains(one: dict[str, paired.Measured], other: dict[str, paired.Measured], tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """What each task gains over another model: {task: {metric, gain, ci95, verdict, sd_replicas, se_test}}.

    Replica r of one is paired with replica r of the other. Replicas differ in initial weights and dropout; all see the same
    training rows in the same order. The interval takes in both kinds of chance, the seeds' and the test rows' (see
    :func:`manygate.metrics.paired_gain`).
    """
    return {
        task.name: {"metric": metrics.MAIN_METRIC[task.kind], **paired.alone(paired.gain(one[task.name], other[task.name]))}
        for task in tasks
    }


@torch.no_grad()
def gate_report(model: MultiTaskModel, split: Split, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Mean and standard deviation of each gate weight over the rows of the task's sample space, of the first replica.

    Experts carry no names, so expert 3 of one replica has nothing to do with expert 3 of another, and replicas are not averaged.
    """
    sums: list[np.ndarray] = []
    size = max(ROWS_AT_ONCE // len(model.members), 256)
    for batch in split.slices(size):
        for level, gate_RBTE in enumerate(model.gates(batch)):
            gate_BTE, inside_BT1 = gate_RBTE[0].double(), (batch.weight_BT > 0).unsqueeze(-1)
            powers = (inside_BT1.expand_as(gate_BTE), gate_BTE * inside_BT1, gate_BTE.square() * inside_BT1)
            moments = torch.stack([power.sum(dim=0).double() for power in powers]).cpu().numpy()
            if len(sums) <= level:
                sums.append(np.zeros_like(moments))
            sums[level] += moments
    report = []
    for level, (count_TE, first_TE, second_TE) in enumerate(sums):
        mean_TE = first_TE / count_TE
        sd_TE = np.sqrt(np.maximum(second_TE / count_TE - mean_TE**2, 0.0))
        report += [
            {"level": level, "task": task.name, "mean": mean_TE[t].tolist(), "sd": sd_TE[t].tolist()}
            for t, task in enumerate(tasks)
        ]
    return report
