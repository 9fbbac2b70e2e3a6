"""Evaluates a model on a labelled log."""

from __future__ import annotations

from typing import Any

from manygate.data.batches import Split
from manygate.data.encode import Encoder
from manygate.data.encoded import encode_labelled, labelled_table
from manygate.evaluation.task_report import task_report
from manygate.metrics.uncertainty import interval_note
from manygate.model import MultiTaskModel
from manygate.model.logits import predict
from manygate.scoring.calibration import Calibration
from manygate.scoring.fusion import Fusion
from manygate.scoring.fusion_search import judge_fusion
from manygate.scoring.judged import feature_numbers, judged
from manygate.scoring.predictor import prediction_columns


def evaluate_log(
    model: MultiTaskModel, encoder: Encoder, log: Any, calibration: Calibration | None = None, fusion: Fusion | None = None
) -> dict[str, Any]:
    """Every metric of every task on a log: {log, rows, tasks: {task: {metrics, ensemble, undefined, calibration, calibrated}}}.

    With a fusion and a group column also ``fusion``, how the score ranks the visits:
    :func:`manygate.scoring.fusion_search.judge_fusion`.
    """
    table = labelled_table(encoder, log)
    name, rows, tasks = table.name, encode_labelled(encoder, table), encoder.schema.tasks
    logit_RNT = predict(model, Split(rows, model.device))
    report = task_report(logit_RNT, rows, tasks, encoder.labels, calibration)
    replicas = model.replicas
    head = {"log": name, "rows": len(rows), "replicas": replicas, "interval_note": interval_note(replicas)}
    if fusion and fusion.active and encoder.schema.group is not None:
        columns, number = prediction_columns(logit_RNT, encoder, calibration), feature_numbers(table, fusion.features)
        ranked = judge_fusion(judged(rows, encoder, columns, number), fusion)
        return head | {"tasks": report, "fusion": ranked}
    return head | {"tasks": report}
