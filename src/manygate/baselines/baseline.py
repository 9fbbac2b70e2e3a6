"""Fits a baseline on an encoded log: a model for each task and replica, and the results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from manygate.baselines import boosting, linear, tree_inputs
from manygate.baselines.boosting import fit_boosting
from manygate.baselines.constant import fit_constant
from manygate.baselines.linear import fit_linear
from manygate.baselines.storage import read_baseline, write_baseline
from manygate.baselines.task_model import JUDGED, FitTask, Fitted, TaskFailedError, TaskRows
from manygate.data import statistics
from manygate.data.encoded import EncodedLog
from manygate.evaluation.task_report import task_report
from manygate.metrics.table import MAIN_METRIC, METRICS
from manygate.metrics.uncertainty import interval
from manygate.model.problem import Problem
from manygate.results.baselines import BaselineFailure, BaselineResult
from manygate.results.summary import MetricSummary, TaskReport
from manygate.text import count_of

Say = Callable[[str], None]
"""Shows a line of text to the user."""


@dataclass(frozen=True)
class Method:
    """A way to fit the model of a task. ``seeded`` is false if every replica would be the same."""

    fit: FitTask
    seeded: bool
    settings: dict[str, JsonValue]


METHODS: dict[str, Method] = {
    "lightgbm": Method(
        fit_boosting,
        True,
        {
            **boosting.PARAMETERS,
            "rounds": boosting.ROUNDS,
            "early_stopping_rounds": boosting.PATIENCE,
            "folds": statistics.FOLDS,
            "smoothing": statistics.SMOOTHING,
            "many_ids": tree_inputs.MANY_IDS,
            "most_categories": tree_inputs.MOST_CATEGORIES,
            "inputs": list(boosting.FORMS),
        },
    ),
    "logistic": Method(fit_linear, False, {"penalty": "l2", "strengths": list(linear.STRENGTHS), "steps": linear.STEPS}),
    "constant": Method(fit_constant, False, {}),
}


@dataclass(frozen=True)
class FittedBaseline:
    """The results of a baseline, and its logits on the test rows. The logits of a task that failed are NaN."""

    result: BaselineResult
    test_logit_RNT: np.ndarray


def run_baseline(
    name: str,
    log: EncodedLog,
    problem: Problem,
    seeds: Sequence[int],
    threads: int,
    folder: Path | None,
    say: Say,
) -> FittedBaseline:
    """Fit and evaluate a baseline, with a model for each task and seed. A finished folder is loaded instead.

    A task that the baseline cannot learn is a failure of the result, and the others go on.
    """
    method = METHODS[name]
    fingerprint = log.fingerprint(json.dumps([name, method.settings, list(seeds)]))
    if folder is not None and folder.exists():
        say(f"{name}: done before, loaded from {folder}")
        return FittedBaseline(*read_baseline(folder, fingerprint))
    say(f"{name}: fitting {count_of(len(problem.tasks), 'task')}, {count_of(len(seeds), 'replica')}")
    began = time.monotonic()
    fits, failures = _fit_tasks(method, log, problem, seeds, threads, name, say)
    logit_RNT = {part: _logits(fits, len(log.parts[part]), len(problem.tasks), len(seeds), part) for part in JUDGED}
    result = BaselineResult(
        name=name,
        settings=method.settings,
        seconds=round(time.monotonic() - began, 3),
        replicas=len(seeds),
        tasks=_reports(logit_RNT["test"], log, problem, failures),
        valid={problem.tasks[t].name: _valid_metric(logit_RNT["valid"][..., t], TaskRows(log, t)) for t in fits},
        chosen={problem.tasks[t].name: [fit.chosen for fit in by_replica] for t, by_replica in fits.items()},
        inputs={problem.tasks[t].name: [fit.inputs for fit in by_replica] for t, by_replica in fits.items()},
        failures=failures,
    )
    fitted = FittedBaseline(result, logit_RNT["test"])
    if folder is not None:
        write_baseline(folder, fitted.result, fitted.test_logit_RNT, fingerprint)
    return fitted


def _fit_tasks(
    method: Method, log: EncodedLog, problem: Problem, seeds: Sequence[int], threads: int, name: str, say: Say
) -> tuple[dict[int, list[Fitted]], list[BaselineFailure]]:
    """Fit every task, and collect the failures. A method without random numbers is fitted once for all replicas."""
    fits: dict[int, list[Fitted]] = {}
    failures = []
    for t, task in enumerate(problem.tasks):
        try:
            different = [method.fit(TaskRows(log, t, seed, threads)) for seed in (seeds if method.seeded else seeds[:1])]
        except TaskFailedError as error:
            failures.append(BaselineFailure(task=task.name, reason=str(error)))
            say(f"{name}: {task.name} failed: {error}")
            continue
        fits[t] = different if method.seeded else different * len(seeds)
    return fits, failures


def _logits(fits: Mapping[int, Sequence[Fitted]], rows: int, tasks: int, replicas: int, part: str) -> np.ndarray:
    """Return the logits of all replicas and tasks (R, N, T), NaN for a task that failed."""
    logit_RNT = np.full((replicas, rows, tasks), np.nan, dtype=np.float32)
    for t, by_replica in fits.items():
        for r, fit in enumerate(by_replica):
            logit_RNT[r, :, t] = fit.logit_N[part]
    return logit_RNT


def _valid_metric(logit_RN: np.ndarray, rows: TaskRows) -> MetricSummary:
    metric = METRICS[MAIN_METRIC[rows.kind]]
    return interval([rows.score("valid", logit_N) for logit_N in logit_RN], metric.lowest, metric.highest)


def _reports(
    logit_RNT: np.ndarray, log: EncodedLog, problem: Problem, failures: Sequence[BaselineFailure]
) -> dict[str, TaskReport]:
    """Report the tasks that did not fail. A joint event that contains a task that failed is left out."""
    failed = {failure.task for failure in failures}
    reports = task_report(np.nan_to_num(logit_RNT, nan=0.0), log.parts["test"], problem)
    after = {task.name: task.after for task in problem.tasks}
    kept = {}
    for name, report in reports.items():
        if name in failed:
            continue
        before = after[name]
        while before is not None and before not in failed:
            before = after[before]
        tree = report.to_tree()
        if before is not None:
            tree.pop("joint", None)
        kept[name] = TaskReport.model_validate(tree)
    return kept


def failure_warnings(results: Sequence[BaselineResult]) -> list[str]:
    """Say which baseline could not learn which task, and why."""
    return [
        f"{result.name} has no model of {failure.task!r}: {failure.reason}." for result in results for failure in result.failures
    ]
