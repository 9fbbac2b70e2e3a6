"""This module prepares the section on unseen ids: their shares, and metrics apart for rows with known and with unseen ids."""

from __future__ import annotations

from manygate import text
from manygate.metrics.table import metric_label
from manygate.report import words
from manygate.report.view import SPLITS, View, legend
from manygate.results.comparison import ComparisonDocument, IdDropoutChoice
from manygate.results.evaluation import FeatureSummary
from manygate.results.summary import ColdPart, ColdStart, MetricSummary

ROWS = {"warm": "known ids alone", "cold": "an unseen id", "mixed": "one of each"}
"""The words for the rows, or pairs of rows, of a part."""
NO_PAIR = "no pair of a row with known ids and a row with an unseen id differs in the label"


def cold_start_rows(apart: ColdStart) -> list[tuple[str, str, str, str, str]]:
    """Return a row of texts for each part: its rows, their number, those with label 1, the main metric and the loss."""
    rows = []
    for name, part in (("warm", apart.warm), ("cold", apart.cold)):
        cells = [f"{metric_label(key)} {_plus_minus(summary)}" for key, summary in part.metrics.items()]
        positives = "" if part.positives is None else text.whole(part.positives)
        rows.append((ROWS[name], text.whole(part.rows), positives, cells[0], cells[1]))
    if apart.mixed is not None:
        rows.append((ROWS["mixed"], "", "", f"{metric_label('auc')} {_plus_minus(apart.mixed.auc)}", ""))
    return rows


def cold_start(document: ComparisonDocument) -> View | None:
    """Prepare the section. None if no labelled test row has an unseen id, and no value of id_dropout was chosen."""
    tables = [table for task in words.task_names(document) if (table := _table(document, task))]
    choices = [_choice(name, choice) for name, choice in (document.id_dropout or {}).items()]
    if not tables and not choices:
        return None
    features = [feature for feature in document.data.features if any((feature.unknown_shares or {}).values())]
    return {
        "tables": tables,
        "features": [_shares(feature) for feature in features],
        "parts": list(SPLITS.values()),
        "choices": choices,
    }


def _choice(name: str, choice: IdDropoutChoice) -> str:
    """Say which value was chosen for a model, and the mean validation scores."""
    scores = text.listed([f"{text.number(summary.mean)} with {value}" for value, summary in choice.valid.items()])
    return f"{name}: {choice.chosen:g} (validation scores: {scores})"


def _table(document: ComparisonDocument, task: str) -> View | None:
    """Prepare a table of architectures by parts for one task."""
    rows, heads = [], []
    for head in legend(document):
        report = document.results[head.name].tasks.get(task)
        if report is None or report.cold_start is None:
            continue
        apart = report.cold_start
        heads = [_head("warm", apart.warm), _head("cold", apart.cold)]
        cells = [_cell(apart.warm), _cell(apart.cold)]
        if apart.mixed is not None:
            share = text.share(apart.mixed.pair_share)
            heads.append({"title": f"pairs: {ROWS['mixed']}", "counts": [f"{share} of the pairs"]})
            cells.append({"main": _value_and_half(apart.mixed.auc), "loss": None, "reason": NO_PAIR})
        rows.append({**head._asdict(), "cells": cells})
    metric = metric_label(words.main_metric(document, task))
    return {"task": task, "metric": metric, "heads": heads, "rows": rows} if rows else None


def _head(name: str, part: ColdPart) -> View:
    positives = [] if part.positives is None else [text.count_of(part.positives, "positive")]
    return {"title": f"rows with {ROWS[name]}", "counts": [text.count_of(part.rows, "row"), *positives]}


def _cell(part: ColdPart) -> View:
    (key, main), (loss, value) = part.metrics.items()
    reason = part.undefined.get(key, "")
    return {"main": _value_and_half(main), "loss": (metric_label(loss), text.number(value.mean)), "reason": reason}


def _value_and_half(summary: MetricSummary) -> tuple[str, str]:
    """The mean, and the half-width or the ends of its interval."""
    mean = text.number(summary.mean)
    return mean, _plus_minus(summary).removeprefix(mean).strip()


def _plus_minus(summary: MetricSummary) -> str:
    return text.plus_minus(summary.mean, summary.ci95)


def _shares(feature: FeatureSummary) -> View:
    shares = feature.unknown_shares or {}
    return {"name": feature.name, "kind": feature.kind, "cells": [text.share(shares.get(part)) for part in SPLITS]}
