"""Evaluates a model on a labelled log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from manygate.data.labelled import labelled_table
from manygate.data.log_rows import groupless_warnings
from manygate.data.rows import Rows
from manygate.evaluation.task_report import task_report
from manygate.metrics.power import FEWEST_TO_JUDGE
from manygate.metrics.table import Metric
from manygate.metrics.uncertainty import interval_note
from manygate.model.problem import Problem
from manygate.results.evaluation import LogEvaluation
from manygate.scoring.fusion_search import judge_fusion
from manygate.scoring.judged import judged
from manygate.scoring.predictor import Predictor
from manygate.scoring.scored import score_rows
from manygate.text import count_of


def evaluate_log(predictor: Predictor, log: Any, more: Mapping[str, Metric] | None = None) -> LogEvaluation:
    """Compute every metric of every task on a log.

    ``more`` holds metrics of the user by name. If there are a fusion and a group column, ``fusion`` of the report describes how the
    score ranks the visits (:func:`manygate.scoring.fusion_search.judge_fusion`).
    """
    table = labelled_table(predictor.encoder, log, csv=predictor.csv_settings)
    fusion = predictor.fusion if predictor.fusion and predictor.fusion.active and predictor.schema.group is not None else None
    replicas = predictor.model.replicas
    scored = score_rows(predictor, table, fusion.features if fusion else ())
    tasks = task_report(scored.logit_RNT, scored.rows, predictor.problem, predictor.calibration, more, scored.cold_N)
    report = LogEvaluation(
        log=table.name,
        rows=len(scored.rows),
        replicas=replicas,
        tasks=tasks,
        interval_note=interval_note(replicas),
        warnings=[
            *_known_rows(predictor, table.name, scored.run_part),
            *few_labels(predictor.problem, scored.rows),
            *groupless_warnings(predictor.schema.group, {"labelled": scored.rows}),
            *scored.warnings,
        ],
    )
    if fusion is None:
        return report
    return report.model_copy(update={"fusion": judge_fusion(judged(predictor, scored), fusion)})


def _known_rows(predictor: Predictor, name: str, run_part: str | None) -> list[str]:
    """Say so if the rows are those of the run, which the model or the choice of its epoch has seen."""
    if run_part is None or predictor.log is None or run_part == "test":
        return []
    judged_better = "the metrics are better than on new rows"
    if run_part == "valid":
        return [f"{name} holds the run's validation rows, which chose the epoch that was kept: {judged_better}."]
    if predictor.log.table("valid") is None or predictor.log.table("test") is None:
        return [
            f"{name} is the log of the run, and most of its rows trained the model: {judged_better}. "
            "The run's report has the metrics of its test rows."
        ]
    return [f"{name} holds the rows that trained the model: {judged_better}."]


def few_labels(problem: Problem, rows: Rows, tasks: Sequence[str] | None = None) -> list[str]:
    """Say which tasks have too few labelled rows to judge or to calibrate: fewer than 100, or 100 of the rarer label."""
    texts = []
    for t, task in enumerate(problem.tasks):
        if tasks is not None and task.name not in tasks:
            continue
        label_N = rows.label_BT[rows.weight_BT[:, t] > 0, t]
        rarer = len(label_N) if task.kind != "binary" else int(min((label_N == 1).sum(), (label_N == 0).sum()))
        counted = count_of(len(label_N), "labelled row") + (f", {rarer:,} of the rarer label" if task.kind == "binary" else "")
        if rarer < FEWEST_TO_JUDGE:
            texts.append(f"task {task.name!r} has {counted}. Too few to judge or to calibrate it: give {FEWEST_TO_JUDGE} or more.")
    return texts
