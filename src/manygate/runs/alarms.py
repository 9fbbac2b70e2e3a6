"""Warnings about a trained model: too good to be true, worse than no model, or without id dropout where ids are unseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from manygate.config import RunConfig
from manygate.data.alarms import UNSEEN_WARNING
from manygate.data.inference.sampled_column import percent
from manygate.data.leaks import Separation
from manygate.inspection.thresholds import HIGH_AUC, PERFECT_AUC
from manygate.results.evaluation import DataWarning, FeatureSummary, RunResult
from manygate.results.summary import TaskReport
from manygate.schema import Schema
from manygate.text import listed

NAMED_FEATURES, FAIR_AUC = 3, 0.6


def result_alarms(results: Mapping[str, RunResult], separations: Sequence[Separation] = ()) -> list[DataWarning]:
    """The warnings that follow from test metrics; ``separations`` say which features alone predict a task best."""
    tasks = dict.fromkeys(task for result in results.values() for task in result.tasks)
    return [
        warning for task in tasks for warning in (*_too_good(results, task, separations), *_worse_than_the_base_rate(results, task))
    ]


def id_dropout_alarms(config: RunConfig, schema: Schema, features: Sequence[FeatureSummary]) -> list[DataWarning]:
    """A warning for each feature without id dropout of which many validation rows have unseen ids, and fewer training rows.

    No ``min_count`` is proposed: with id dropout a larger one made the metrics worse, and without it helped less than id dropout.
    """
    by_default = config.id_dropouts or config.replica_id_dropouts or (config.id_dropout,)
    own = {feature.name: feature.id_dropout for feature in schema.features}
    alarms = []
    for feature in features:
        shares, chosen = feature.unknown_shares or {}, own.get(feature.name)
        share = shares.get("valid", 0.0)
        if any(by_default if chosen is None else (chosen,)) or share < UNSEEN_WARNING or shares.get("train", 0.0) >= share:
            continue
        of = "ids are" if feature.kind == "bag" else "rows have"
        remedy = (
            f"Switch it on with --id-dropout {RunConfig.model_fields['id_dropout'].default:g}."
            if chosen is None
            else "Take id_dropout 0 out of the schema."
        )
        alarms.append(
            DataWarning(
                level="warning",
                column=feature.name,
                text=f"feature {feature.name!r}: {percent(share)} of the validation {of} unseen ids, and id dropout is off. So few "
                f"training rows train the row of unseen ids. {remedy}",
            )
        )
    return alarms


def _too_good(results: Mapping[str, RunResult], task: str, separations: Sequence[Separation]) -> Iterator[DataWarning]:
    aucs = {name: auc for name, result in results.items() if (auc := _metric(result.tasks.get(task), "auc")) is not None}
    high = {name: auc for name, auc in aucs.items() if auc > HIGH_AUC}
    if not high:
        return
    perfect = max(high.values()) > PERFECT_AUC
    best = [result for result in separations if result.task == task and result.score > FAIR_AUC][:NAMED_FEATURES]
    named = listed([f"{result.feature} ({result.words})" for result in best])
    strongest = f" The features that alone predict it best: {named}." if best else ""
    reached = listed([f"{int(auc * 1e4) / 1e4:.4f} ({name})" for name, auc in high.items()])
    text = f"task {task!r}: the AUC on test is {reached}. " + (
        "Hardly any honest task is predicted so well: look for a leak, a column that is written after the label is known."
        if perfect
        else "Some tasks are that easy; if this one should not be, look for a column that is written after the label is known."
    )
    level = "serious" if perfect else "note"
    column = best[0].feature if best and perfect else None
    yield DataWarning(level="serious" if level == "serious" else "note", task=task, column=column, text=text + strongest)


def _worse_than_the_base_rate(results: Mapping[str, RunResult], task: str) -> Iterator[DataWarning]:
    worse = {}
    for name, result in results.items():
        entropy = _metric(result.tasks.get(task), "normalised_entropy")
        if entropy is not None and entropy > 1:
            worse[name] = entropy
    if worse:
        named = listed([f"{name} {value:.3f}" for name, value in worse.items()])
        yield DataWarning(
            level="serious",
            task=task,
            text=f"task {task!r}: the normalised entropy on test is above 1 ({named}). Its probabilities are worse than the base "
            "rate for every row. Use them to rank alone, calibrate them (--calibration isotonic), or give more rows.",
        )


def _metric(report: TaskReport | None, metric: str) -> float | None:
    """The metric of what is served: of the ensemble, after its calibrator if there is one."""
    if report is None:
        return None
    return (report.calibrated.metrics if report.calibrated else report.ensemble).get(metric)
