"""This module prepares the tables of every section of the page, as the template prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import yaml

from manygate import text
from manygate.metrics.table import METRICS, metric_label
from manygate.metrics.uncertainty import interval
from manygate.report import words
from manygate.report.charts import Point
from manygate.results.comparison import ComparisonDocument
from manygate.results.evaluation import DataWarning, FeatureSummary, LabelSummary, Stopped
from manygate.results.summary import MetricSummary, Scores, TaskReport
from manygate.schema import Schema
from manygate.schema.reading import validated

STYLES = {"single_task": 0, "shared_bottom": 1, "omoe": 2, "mmoe": 3}
SYMBOLS = {"helps": "▲", "hurts": "▼", "likely helps": "△", "likely hurts": "▽", "cannot tell": "○"}
CLASSES = {"helps": "helps", "hurts": "hurts", "likely helps": "helps likely", "likely hurts": "hurts likely"}
SPLITS = {"train": "training", "valid": "validation", "test": "test"}
NO_REASON = "no reason was recorded"
View = dict[str, object]
"""The values that a template prints, by name."""


def styles(document: ComparisonDocument) -> dict[str, int]:
    """Return each architecture's index in the palette; it is fixed for well-known architectures, so that reports look alike."""
    names = words.architectures(document)
    spare = iter(range(len(STYLES), len(STYLES) + len(names)))
    return {name: STYLES[name] if name in STYLES else next(spare) for name in names}


class Head(NamedTuple):
    """An architecture as a column or a row of a table: its index in the palette and its role."""

    name: str
    style: int
    chosen: bool
    baseline: bool


def legend(document: ComparisonDocument) -> list[Head]:
    """List the architectures in order, with their style and role."""
    best, baseline = words.chosen(document), document.baseline
    return [Head(name, style, name == best, name == baseline) for name, style in styles(document).items()]


def facts(document: ComparisonDocument) -> list[str]:
    """List the log, the numbers of rows, tasks, architectures and replicas, as short phrases."""
    names, rows = words.architectures(document), document.data.rows
    replicas = sorted({document.results[name].replicas for name in names})
    some = [document.data.log] if document.data.log else []
    some += [text.count_of(sum(rows.values()), "row")] if rows else []
    some += [text.count_of(len(words.task_names(document)), "task")]
    some += [text.count_of(len(names), "architecture")] if len(names) != 1 else names
    some += [text.count_of(replicas[0], "replica") + (" each" if len(names) > 1 else "")] if len(replicas) == 1 else []
    return some


def warning_groups(found: Sequence[DataWarning]) -> list[View]:
    """Group warnings by their level, the most severe first, with a title for each group."""
    names = {"serious": "serious alarm", "warning": "warning", "note": "note"}
    groups = {level: [entry.text for entry in found if entry.level == level] for level in names}
    return [
        {"level": level, "title": text.count_of(len(texts), names[level]), "texts": texts}
        for level, texts in groups.items()
        if texts
    ]


def verdict_table(document: ComparisonDocument) -> View | None:
    """Prepare a table of tasks by architectures: gain, interval, verdict, and the score of the baseline."""
    names, baseline = words.judged(document), document.baseline
    if not names or baseline is None:
        return None
    rows, notes = [], []
    for task in words.task_names(document):
        key = words.main_metric(document, task)
        baseline_score = _plus_minus(_summary(document, baseline, task, key))
        cells = [_verdict(document, name, task, _reason(document, (name, baseline), task, key)) for name in names]
        notes += [f"{task}: {cell.reason}" for cell in cells if cell.reason]
        rows.append(
            {
                "task": task,
                "metric": metric_label(key),
                "baseline_score": baseline_score,
                "baseline_mean": baseline_score.partition(" ")[0],
                "cells": cells,
            }
        )
    by_name = {head.name: head for head in legend(document)}
    heads = [by_name[name] for name in names]
    return {
        "baseline": baseline,
        "heads": heads,
        "rows": rows,
        "valid": _validation(document, [baseline, *names]),
        "interval_note": document.interval_note,
        "notes": list(dict.fromkeys(notes)),
        "joint": document.transfer is not None,
        "cells": len(rows) * len(heads),
        "priced": words.priced(document),
    }


class VerdictCell(NamedTuple):
    """A formatted gain; ``reason`` explains an undefined gain, ``css`` is a class of the style sheet.

    ``shipped`` is the gain as shipped, where it differs from the gain.
    """

    css: str
    symbol: str
    word: str
    gain: str
    interval: str
    reason: str | None
    shipped: str = ""


def _verdict(document: ComparisonDocument, name: str, task: str, reason: str = "") -> VerdictCell:
    """Format a gain; ``reason`` explains an undefined gain."""
    entry = document.verdicts[name].get(task)
    if entry is None:
        return VerdictCell("unsure", "", "–", "", "", None)
    word, shipped = words.outcome(document, name, task), words.as_shipped(document, name, task)
    return VerdictCell(
        CLASSES.get(word, "unsure"),
        SYMBOLS.get(word, "○"),
        word,
        text.number(entry.gain, signed=True),
        text.interval(entry.ci95),
        None if text.finite(entry.gain) else reason or NO_REASON,
        text.number(shipped.gain, signed=True) if shipped and entry.ci95 else "",
    )


def _reason(document: ComparisonDocument, names: Sequence[str], task: str, key: str) -> str:
    """Return the reason why a task's metric is undefined, from the first architecture that has one."""
    reports = [report for name in names if (report := _report(document, name, task))]
    return next((reason for report in reports if (reason := report.undefined.get(key))), "")


def _report(document: ComparisonDocument, name: str, task: str) -> TaskReport | None:
    result = document.results.get(name)
    return result.tasks.get(task) if result else None


def _validation(document: ComparisonDocument, names: Sequence[str]) -> list[str] | None:
    if document.best is None or not document.best.valid:
        return None
    valid = document.best.valid
    return [_plus_minus(valid[name]) if name in valid else "–" for name in names]


def _plus_minus(summary: MetricSummary | None) -> str:
    return text.plus_minus(summary.mean, summary.ci95) if summary else text.UNDEFINED


def _summary(document: ComparisonDocument, name: str, task: str, key: str) -> MetricSummary | None:
    report = _report(document, name, task)
    return report.metrics.get(key) if report else None


def verdict_numbers(document: ComparisonDocument) -> list[View]:
    """Prepare the numbers of the forest plots, with a row for each task and architecture."""
    return [
        {
            "task": task,
            "name": name,
            "metric": metric_label(entry.metric),
            **_verdict(document, name, task)._asdict(),
            "sd": text.number(entry.sd_replicas),
            "se": text.number(entry.se_test),
        }
        for task in words.task_names(document)
        for name in words.judged(document)
        if (entry := document.verdicts[name].get(task))
    ]


def score_table(document: ComparisonDocument) -> View | None:
    """Prepare the main metric of each task for each architecture, if there is no baseline."""
    if words.judged(document):
        return None
    heads, rows = legend(document), []
    for task in words.task_names(document):
        key = words.main_metric(document, task)
        cells = [_cell(document.results[head.name].tasks.get(task), key, []) for head in heads]
        rows.append({"task": task, "metric": metric_head(key), "cells": cells})
    names = [head.name for head in heads]
    return {"heads": heads, "rows": rows, "valid": _validation(document, names) if len(names) > 1 else None}


def costs(document: ComparisonDocument) -> list[View]:
    """Prepare the costs of each architecture: parameters, time, epochs."""
    rows: list[View] = []
    for head in legend(document):
        result = document.results[head.name]
        rows.append(
            {
                **head._asdict(),
                "parameters": text.whole(result.parameters),
                "network_parameters": text.whole(result.network_parameters),
                "flops": text.whole(result.flops),
                "replicas": text.whole(result.replicas),
                "seconds": text.duration(result.seconds),
                "epochs": best_epochs(result.stopped.best_epoch),
                "own_epochs": own_epochs(result.stopped),
                "reason": result.stopped.reason,
            }
        )
    return rows


def best_epochs(best: Mapping[str, Sequence[float]]) -> str:
    """Format the range, over replicas and tasks, of the epochs that were kept.

    >>> best_epochs({"click": [3, 5, 4]}), best_epochs({"click": [2], "buy": [1.25]}), best_epochs({})
    ('3–5', '1.25–2', '–')
    """
    values = [epoch for epochs in best.values() for epoch in epochs]
    if not values:
        return "–"
    low, high = min(values), max(values)
    return f"{low:,g}" if low == high else f"{low:,g}–{high:,g}"


def own_epochs(stopped: Stopped) -> str:
    """Format the epochs at which each task's own clock was best, over replicas.

    >>> own_epochs(Stopped(best_epoch={"click": [4, 4]}, own_best_epoch={"click": [3, 5], "buy": [2, 2]}, reason=""))
    'click 3–5, buy 2'
    """
    by_task = stopped.own_best_epoch or stopped.best_epoch
    return ", ".join(f"{task} {best_epochs({task: epochs})}" for task, epochs in by_task.items())


def results(document: ComparisonDocument) -> list[View]:
    """Prepare a table for each task and each joint event of a funnel: architectures by metrics.

    Footnotes explain undefined metrics.
    """
    tables: list[View] = []
    everything = {head.name: _with_joint(document.results[head.name].tasks) for head in legend(document)}
    joint = [name for tasks in everything.values() for name in tasks if name not in words.task_names(document)]
    for task in dict.fromkeys([*words.task_names(document), *joint]):
        entries = [(head, everything[head.name].get(task)) for head in legend(document)]
        known = [entry for _, entry in entries if entry]
        keys = list(dict.fromkeys(key for entry in known for key in [*entry.metrics, *entry.undefined]))
        keys.sort(key=lambda key: list(METRICS).index(key) if key in METRICS else len(METRICS))
        notes: list[str] = []
        rows = [{**head._asdict(), "cells": [_cell(entry, key, notes) for key in keys]} for head, entry in entries if entry]
        heads = [metric_head(key) for key in keys]
        kind = f"{known[0].kind}, on any row" if task in joint else words.task_kind(document, task)
        tables.append({"task": task, "kind": kind, "heads": heads, "rows": rows, "notes": notes})
    return tables


def _with_joint(tasks: Mapping[str, TaskReport]) -> dict[str, Scores]:
    """Return the scores of a result's tasks and of the joint events of a funnel, by name."""
    return {**tasks, **{task.joint.name: task.joint for task in tasks.values() if task.joint}}


def _cell(report: Scores | None, key: str, notes: list[str]) -> View:
    """Format a metric: mean and half-width, the ensemble's value, or why it is undefined (``notes`` collects the reasons)."""
    if report is None:
        return {"text": "–", "ensemble": None, "reason": None, "note": 0}
    summary, ensemble = report.metrics.get(key), report.ensemble.get(key)
    shown = _plus_minus(summary)
    value, _, half = shown.partition(" ± ")
    cell: View = {"text": shown, "value": value, "half": half, "reason": None, "note": 0}
    several = summary is None or len(summary.values) != 1
    cell["ensemble"] = text.number(ensemble) if several and text.finite(ensemble) else None
    if shown == text.UNDEFINED:
        reason = report.undefined.get(key) or NO_REASON
        if reason not in notes:
            notes.append(reason)
        cell |= {"reason": reason, "note": notes.index(reason) + 1}
    return cell


def inspected(document: ComparisonDocument) -> list[View]:
    """List the alarms of each architecture's inspection, without the notes."""
    inspections = [(head, document.results[head.name].inspection) for head in legend(document)]
    return [
        {
            **head._asdict(),
            "alarms": [alarm for alarm in inspection.alarms if alarm.severity != "note"],
            "seen": f"{text.count_of(inspection.rows, 'row')}, {text.count_of(inspection.replicas.looked_at, 'replica')}",
        }
        for head, inspection in inspections
    ]


def metric_head(key: str) -> View:
    """Return a metric's label, arrow and meaning; a metric that is not in the table of metrics has only a label."""
    metric = METRICS.get(key)
    return {"label": metric_label(key), "arrow": metric.arrow if metric else "", "meaning": metric.meaning if metric else ""}


def meanings(document: ComparisonDocument) -> list[View]:
    """List the known metrics of the page, for the glossary."""
    tasks = [task for result in document.results.values() for task in result.tasks.values()]
    used = {key for task in tasks for key in task.metrics}
    return [metric_head(key) for key in METRICS if key in used]


def _schema(document: ComparisonDocument) -> Schema:
    schema: Schema = validated(Schema, document.data_schema, "the schema in the results")
    return schema


def data(document: ComparisonDocument) -> View:
    """Prepare the rows and labels of each split, and the features with their kind and the reason for it."""
    summary = document.data
    splits = [split for split in SPLITS if split in summary.rows]
    schema = _schema(document)
    spaces = {task.name: task.space for task in schema.tasks}
    tasks = []
    for name, counts in summary.tasks.items():
        binary = name not in words.task_names(document) or words.task_kind(document, name) == "binary"
        cells = [_labels(counts.get(split), binary) for split in splits]
        tasks.append({"name": name, "kind": "binary" if binary else "regression", "where": spaces.get(name, ""), "cells": cells})
    return {
        "log": summary.log,
        "splits": [(SPLITS[split], text.whole(summary.rows[split])) for split in splits],
        "tasks": tasks,
        "features": [_feature(feature) for feature in summary.features],
        "roles": [(role, column) for role in ("group", "time", "weight") if (column := getattr(schema, role))],
        "ignored": list(schema.ignored.items()),
    }


def _labels(labels: LabelSummary | None, binary: bool) -> View:
    rows, mean, positives = (labels.rows, labels.mean, labels.positives) if labels else (None, None, None)
    shown = {"rows": text.whole(rows), "mean": text.share(mean) if binary else text.number(mean)}
    return {**shown, "positives": "" if positives is None else text.count_of(positives, "positive")}


def _feature(feature: FeatureSummary) -> View:
    return {
        "name": feature.name,
        "kind": feature.kind,
        "bias": feature.bias,
        "rows": text.whole(feature.rows),
        "columns": text.whole(feature.columns),
        "nulls": text.share(feature.null_share),
        "unseen": " / ".join(text.share(share) for part, share in (feature.unknown_shares or {}).items() if part != "train"),
        "note": feature.note,
    }


def reproduce(document: ComparisonDocument) -> View:
    """Prepare the command, the configuration and the schema, as a person would write them."""
    return {
        "command": document.command,
        "config": _yaml(document.config),
        "schema": _schema(document).to_yaml(),
        "versions": [
            ("manygate", document.manygate_version),
            ("torch", document.torch_version),
            ("format of the results", str(document.comparison_version)),
        ],
    }


class _Dumper(yaml.SafeDumper):
    """A YAML writer that puts a list on one line, as people write settings."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        return super().represent_sequence(tag, sequence, flow_style=True)


def _yaml(tree: Any) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100) if tree else ""


def history(document: ComparisonDocument, name: str, task: str, field: Literal["valid", "train_loss"]) -> list[Point]:
    """Return the mean over replicas and its interval, by epoch.

    Epochs with values from fewer than half of the replicas (of the epoch with the most values) are left out.
    """
    rows = []
    for epoch in document.results[name].history:
        by_task = epoch.valid if field == "valid" else epoch.train_loss
        rows.append((epoch.epoch, [value for value in by_task.get(task, []) if value is not None]))
    most = max((len(values) for _, values in rows), default=0)
    metric = METRICS[words.main_metric(document, task)]
    ends = (metric.lowest, metric.highest) if field == "valid" else ()
    summaries = [(epoch, interval(values, *ends)) for epoch, values in rows if values and 2 * len(values) >= most]
    return [Point(epoch, summary.mean, summary.ci95) for epoch, summary in summaries if summary.mean is not None]
