"""Evaluates a model on a labelled log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manygate.data.labelled import encode_labelled, labelled_table
from manygate.evaluation.task_report import task_report
from manygate.metrics.table import Metric
from manygate.metrics.uncertainty import interval_note
from manygate.results.evaluation import LogEvaluation
from manygate.scoring.fusion_search import judge_fusion
from manygate.scoring.judged import feature_numbers, judged
from manygate.scoring.predictor import Predictor


def evaluate_log(predictor: Predictor, log: Any, more: Mapping[str, Metric] | None = None) -> LogEvaluation:
    """Compute every metric of every task on a log.

    ``more`` holds metrics of the user by name. If there are a fusion and a group column, ``fusion`` of the report describes how the
    score ranks the visits (:func:`manygate.scoring.fusion_search.judge_fusion`).
    """
    table = labelled_table(predictor.encoder, log, csv=predictor.csv_settings)
    rows, fusion, replicas = encode_labelled(predictor.encoder, table), predictor.fusion, predictor.model.replicas
    logit_RNT = predictor.logits(rows)
    report = LogEvaluation(
        log=table.name,
        rows=len(rows),
        replicas=replicas,
        tasks=task_report(logit_RNT, rows, predictor.problem, predictor.calibration, more),
        interval_note=interval_note(replicas),
    )
    if not (fusion and fusion.active and predictor.schema.group is not None):
        return report
    number = feature_numbers(table, fusion.features)
    ranking = judge_fusion(judged(predictor, rows, predictor.columns(logit_RNT), number), fusion)
    return report.model_copy(update={"fusion": ranking})
