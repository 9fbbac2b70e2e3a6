"""This module prepares the table of a training day by day: rows, unseen ids and main metrics of each day that was judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manygate import text
from manygate.metrics import MAIN_METRIC
from manygate.metrics.table import metric_label
from manygate.report.view import View, legend
from manygate.results.comparison import ComparisonDocument
from manygate.results.evaluation import DayReport

HEADS = ("day", "rows", "rows with an unseen id", "ids that got a row the day before")
MEAN = "mean of the days"


def day_heads(days: Sequence[DayReport]) -> list[str]:
    """Return the heads of the columns of :func:`day_cells`."""
    return [*HEADS, *(f"{name} {metric_label(MAIN_METRIC[task.kind])}" for name, task in days[-1].tasks.items())]


def day_cells(days: Sequence[DayReport]) -> list[list[str]]:
    """Return a row of texts for each day, and the mean of the days last."""
    rows = [_cells(day) for day in days]
    total = sum(day.rows for day in days)
    cold = sum(day.cold_share * day.rows for day in days) / total
    new = sum(sum(day.new_ids.values()) for day in days)
    means = [_mean(days, name) for name in days[-1].tasks]
    return [*rows, [MEAN, text.whole(round(total / len(days))), text.share(cold), text.whole(round(new / len(days))), *means]]


def by_day(document: ComparisonDocument) -> list[View]:
    """Prepare the section: a table for each architecture that was trained day by day."""
    tables = []
    for head in legend(document):
        result = document.results[head.name]
        if result.days:
            notes = [f"{day.day}, {task}: {reason}" for day in result.days for task, reason in _undefined(day)]
            rows = day_cells(result.days)
            tables.append({**head._asdict(), "heads": day_heads(result.days), "rows": rows[:-1], "mean": rows[-1], "notes": notes})
    return tables


def _cells(day: DayReport) -> list[str]:
    metrics = [report.metrics[MAIN_METRIC[report.kind]] for report in day.tasks.values()]
    scores = [text.plus_minus(metric.mean, metric.ci95) for metric in metrics]
    return [day.day, text.whole(day.rows), text.share(day.cold_share), text.whole(sum(day.new_ids.values())), *scores]


def _mean(days: Sequence[DayReport], name: str) -> str:
    """Return the mean of a task's main metric over the days on which it is defined."""
    reports = [day.tasks[name] for day in days]
    values = [value for report in reports if (value := report.metrics[MAIN_METRIC[report.kind]].mean) is not None]
    return text.number(float(np.mean(values)) if values else None)


def _undefined(day: DayReport) -> list[tuple[str, str]]:
    """Return each task whose main metric is undefined on a day, with the reason."""
    found = [(name, report.undefined.get(MAIN_METRIC[report.kind])) for name, report in day.tasks.items()]
    return [(name, reason) for name, reason in found if reason is not None]
