"""This module prepares the section on negative transfer and seesaws.

It has the advice, the flags in the table of verdicts, the pairs of tasks and the gains in other metrics.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from markupsafe import Markup

from manygate import text
from manygate.metrics.table import metric_label
from manygate.report import charts, words
from manygate.report.view import View, legend, metric_head, styles
from manygate.results.comparison import ComparisonDocument, Seesaw, Transfer
from manygate.results.summary import JointGain
from manygate.verdict.transfer import sure

ADVICE = {
    "share": ("Share", "helps"),
    "one checkpoint per task": ("Share, with a checkpoint per task", "helps"),
    "trade-off": ("A trade-off", "price"),
    "separate": ("Keep them separate", "hurts"),
    "look again": ("Look again", "price"),
    "cannot tell": ("Cannot tell", "unsure"),
}
PANELS = 6
OTHER_METRICS = ("gauc", "log_loss", "calibration", "ece")


def advice(document: ComparisonDocument) -> View | None:
    """Prepare the recommendation, with a heading for its rule."""
    recommendation = document.recommendation
    if recommendation is None:
        return None
    word, kind = ADVICE[recommendation.rule]
    parts = {"text": recommendation.text, "reasons": recommendation.reasons, "could_change": recommendation.could_change}
    return {"word": word, "class": kind, **parts}


def marks(document: ComparisonDocument) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """List the remarks to print under the verdict of an architecture and a task, each with a CSS class."""
    transfer = document.transfer
    if transfer is None:
        return {}
    cured: dict[tuple[str, str], list[str]] = {}
    for removal in transfer.removed:
        cured.setdefault((removal.model, removal.task), []).append(removal.of)
    lines = {key: [("helps", f"undoes the harm of {_few(names)}")] for key, names in cured.items()}
    for harm in transfer.negative:
        lines.setdefault((harm.model, harm.task), []).append(("hurts", "negative transfer"))
    spoiled: dict[tuple[str, str], list[str]] = {}
    for flag in [flag for flag in transfer.probabilities if flag.ranking != "hurts"]:
        spoiled.setdefault((flag.model, flag.task), []).append(metric_label(flag.metric))
    for key, names in spoiled.items():
        lines.setdefault(key, []).append(("hurts", f"worse {text.listed(names)}"))
    return lines


def _few(names: list[str]) -> str:
    return text.listed(names) if len(names) <= 2 else f"{len(names)} others"


def seesaw(document: ComparisonDocument) -> View | None:
    """The section's tables and charts; None without a baseline."""
    transfer = document.transfer
    if transfer is None:
        return None
    style_of = styles(document)
    flags = sorted(transfer.seesaws, key=lambda flag: not flag.sure)
    rows = [_flag(document, transfer, flag) | {"style": style_of.get(flag.to, 0)} for flag in flags]
    return {
        "baseline": document.baseline,
        "rows": [row for row in rows if row["sure"]],
        "possible": [row for row in rows if not row["sure"]],
        "planes": planes(document, transfer),
        "left_out": max(0, len(_pairs(document)) - PANELS),
        "gains": metric_tables(document, transfer),
        "differences": _differences(document, transfer),
        "needs": _needs(document),
    }


def _flag(document: ComparisonDocument, transfer: Transfer, flag: Seesaw) -> View:
    """Prepare a seesaw, with both gains."""
    step = _step(document, transfer, flag)
    cells = {side: _gain(step[task]) | {"task": task} for side, task in (("gains", flag.gains), ("loses", flag.loses))}
    return {"from": flag.origin, "to": flag.to, "sure": flag.sure, **cells}


def _step(document: ComparisonDocument, transfer: Transfer, flag: Seesaw) -> Mapping[str, JointGain]:
    """Return the gains of each task's main metric from one architecture to another."""
    for pair in transfer.differences:
        if (pair.origin, pair.to) == (flag.origin, flag.to):
            return pair.tasks
    return {task: gains[words.main_metric(document, task)] for task, gains in transfer.gains[flag.to].items()}


def _gain(entry: JointGain | None) -> View:
    """Format a gain, with a class by its joint interval."""
    if entry is None or entry.gain is None:
        return {"gain": text.UNDEFINED, "joint": "", "class": "unsure", "sure": False}
    return {
        "gain": text.number(entry.gain, signed=True),
        "joint": text.interval(entry.joint95),
        "class": words.CLASSES[sure(entry)],
        "sure": bool(sure(entry)),
    }


def planes(document: ComparisonDocument, transfer: Transfer) -> list[View]:
    """Draw, for at most six pairs of tasks, the gains of all architectures in both; pairs with a seesaw come first."""
    names, style_of = words.judged(document), styles(document)
    sure, possible = ([{flag.gains, flag.loses} for flag in transfer.seesaws if flag.sure == kind] for kind in (True, False))
    tags = {
        pair: "seesaw" if set(pair) in sure else "possible seesaw" if set(pair) in possible else "" for pair in _pairs(document)
    }
    pairs = sorted(tags, key=lambda pair: ("seesaw", "possible seesaw", "").index(tags[pair]))
    drawn: list[View] = []
    for at, (first, second) in enumerate(pairs[:PANELS]):
        spots = []
        for name in names:
            known = [gain for task in (first, second) if (gain := document.verdicts[name].get(task)) and gain.gain is not None]
            if len(known) == 2:
                across, up = (charts.Gain(name, gain.gain, gain.ci95, gain.verdict) for gain in known)
                spots.append(charts.Spot(name, style_of[name], across, up))
        if spots:
            metrics = tuple(metric_label(words.main_metric(document, task)) for task in (first, second))
            chart = charts.plane(f"plane-{at}", (first, second), (metrics[0], metrics[1]), spots)
            drawn.append({"pair": f"{first} and {second}", "chart": Markup(chart), "tag": tags[first, second]})
    return drawn


def _pairs(document: ComparisonDocument) -> list[tuple[str, str]]:
    return list(itertools.combinations(words.task_names(document), 2))


def metric_tables(document: ComparisonDocument, transfer: Transfer) -> list[View]:
    """Prepare, for each binary task, a table of gains in all metrics, with an architecture in each row."""
    tables: list[View] = []
    for task in words.task_names(document):
        rows: list[View] = []
        keys: list[str] = []
        for head in legend(document):
            gains = transfer.gains.get(head.name, {}).get(task)
            if gains:
                keys = [key for key in gains if key == "auc" or key in OTHER_METRICS]
                rows.append({**head._asdict(), "cells": [_gain(gains[key]) for key in keys]})
        if len(keys) > 1:
            tables.append({"task": task, "heads": [metric_head(key) for key in keys], "rows": rows})
    return tables


def _differences(document: ComparisonDocument, transfer: Transfer) -> View | None:
    """Prepare a table of the gains between every two architectures, with a task in each column."""
    tasks = words.task_names(document)
    rows = [
        {"from": pair.origin, "to": pair.to, "cells": [_gain(pair.tasks.get(task)) for task in tasks]}
        for pair in transfer.differences
    ]
    return {"tasks": tasks, "rows": rows} if rows else None


def _needs(document: ComparisonDocument) -> View | None:
    """Prepare a table of the replicas and rows that narrow an interval to some sizes, with a task in each row."""
    recommendation = document.recommendation
    if recommendation is None or not recommendation.needs:
        return None
    rows = [
        {
            "task": need.task,
            "metric": metric_label(need.metric),
            "seeds": text.number(need.seeds),
            "test": text.number(need.test),
            "sizes": [
                {"size": f"{size.size:g}", "replicas": _many(size.replicas, need.replicas), "rows": _times(size.times_rows)}
                for size in need.sizes
            ],
        }
        for need in recommendation.needs
    ]
    return {"rows": rows, "model": recommendation.judged}


def _many(replicas: int | None, now: int) -> str:
    return "over 10,000" if replicas is None else f"{replicas} as now" if replicas == now else text.whole(replicas)


def _times(factor: float) -> str:
    return "as now" if factor <= 1 else f"{factor:,.1f} ×" if factor < 10 else f"{factor:,.0f} ×"
