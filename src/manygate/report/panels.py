"""This module prepares the sections of the page that have charts: forest plots, learning curves, gates, calibration."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup

from manygate import text
from manygate.metrics.table import metric_label
from manygate.report import charts, words
from manygate.report.outside import outside_gain, outside_outcome
from manygate.report.view import View, history, styles
from manygate.results.comparison import ComparisonDocument
from manygate.results.evaluation import GateSummary
from manygate.results.summary import CalibrationBin


def forests(document: ComparisonDocument) -> View:
    """Draw a forest plot for each task.

    Tasks with the same metric share a scale, unless one range is more than six times as wide as another.
    """
    names, panels, rows_of = words.judged(document), [], {}
    for task in words.task_names(document):
        verdicts = [(name, document.verdicts[name].get(task)) for name in names]
        gains = [charts.Gain(name, gain.gain, gain.ci95, words.outcome(document, name, task)) for name, gain in verdicts if gain]
        beside = [(name, outside_gain(document, name, task)) for name in document.baselines or ()]
        gains += [charts.Gain(name, gain.gain, gain.ci95, outside_outcome(gain)) for name, gain in beside if gain]
        if any(text.finite(row.gain) for row in gains):
            rows_of[task] = gains
    limits, shared = _limits(document, rows_of)
    for number, (task, rows) in enumerate(rows_of.items()):
        metric = metric_label(words.main_metric(document, task))
        chart = charts.forest(f"forest-{number}", task, metric, str(document.baseline), rows, limits[task])
        panels.append({"task": task, "metric": metric, "chart": Markup(chart)})
    return {"panels": panels, "shared": shared}


def _limits(document: ComparisonDocument, rows_of: dict[str, list[charts.Gain]]) -> tuple[dict[str, tuple[float, float]], bool]:
    span_of = {task: charts.span(rows) for task, rows in rows_of.items()}
    limits, shared = dict(span_of), True
    for _, group in itertools.groupby(
        sorted(span_of, key=lambda task: words.main_metric(document, task)), lambda task: words.main_metric(document, task)
    ):
        spans = {task: span_of[task] for task in group}
        sizes = [high - low for low, high in spans.values()]
        if max(sizes) > 6 * min(sizes):
            shared = False
            continue
        common = min(low for low, _ in spans.values()), max(high for _, high in spans.values())
        limits.update(dict.fromkeys(spans, common))
    return limits, shared


def learning(document: ComparisonDocument) -> list[View]:
    """Draw, for each task, the validation metric and the training loss by epoch, all architectures in one chart."""
    sections: list[View] = []
    for number, task in enumerate(words.task_names(document)):
        metric = metric_label(words.main_metric(document, task))
        sections.append(
            {
                "task": task,
                "charts": [
                    (
                        f"Validation {metric}",
                        _curves(document, f"valid-{number}", task, "valid", f"Validation {metric} of {task} by epoch"),
                    ),
                    (
                        "Training loss",
                        _curves(document, f"loss-{number}", task, "train_loss", f"Training loss of {task} by epoch"),
                    ),
                ],
            }
        )
    return sections


def _curves(document: ComparisonDocument, key: str, task: str, field: Literal["valid", "train_loss"], title: str) -> Markup | None:
    lines = []
    for name, style in styles(document).items():
        points = history(document, name, task, field)
        if points:
            best = _best_epoch(document, name, task) if field == "valid" else None
            lines.append(charts.Curve(name, style, points, best))
    return Markup(charts.curves(key, title, lines)) if lines else None


def _best_epoch(document: ComparisonDocument, name: str, task: str) -> float | None:
    """Return the median over replicas of the epoch that was kept; of two middle epochs, the lower one."""
    values = sorted(document.results[name].stopped.best_epoch.get(task, []))
    return values[(len(values) - 1) // 2] if values else None


def frontier(document: ComparisonDocument) -> list[View]:
    """Draw, for each task, the test metric against the cost of a row's forward pass, all architectures in one chart."""
    sections: list[View] = []
    for number, task in enumerate(words.task_names(document)):
        key = words.main_metric(document, task)
        points = []
        for name, style in styles(document).items():
            result = document.results[name]
            summary = result.tasks[task].metrics.get(key) if task in result.tasks else None
            if summary is not None and summary.mean is not None:
                points.append(charts.Cost(name, style, result.flops, summary.mean, summary.ci95))
        if len(points) > 1:
            metric = metric_label(key)
            chart = charts.frontier(f"frontier-{number}", f"Test {metric} of {task} against FLOPs a row", metric, points)
            sections.append({"task": task, "metric": metric, "chart": Markup(chart), "on": charts.undominated(points)})
    return sections


def gates(document: ComparisonDocument) -> list[View]:
    """Prepare, for each architecture with gates, a heat map of tasks by experts for each level."""
    sections: list[View] = []
    for name, style in styles(document).items():
        summaries = [gate for gate in document.results[name].gates if gate.mean]
        levels = sorted({gate.level for gate in summaries})
        maps = [_heat([gate for gate in summaries if gate.level == level]) for level in levels]
        for level, heat in zip(levels, maps, strict=True):
            heat["level"] = f"level {level + 1} of {len(levels)}" if len(levels) > 1 else ""
        if maps:
            sections.append({"name": name, "style": style, "maps": maps})
    return sections


def _heat(gates: Sequence[GateSummary]) -> View:
    experts = max(len(gate.mean) for gate in gates)
    top = max((weight for gate in gates for weight in gate.mean if weight is not None), default=0) or 1
    rows = []
    for gate in gates:
        spreads = [*gate.sd, *[None] * experts][:experts]
        cells = [_weight(weight, sd, top) for weight, sd in zip([*gate.mean, *[None] * experts][:experts], spreads, strict=True)]
        rows.append({"task": gate.task, "cells": cells})
    return {"experts": experts, "rows": rows, "reading": _reading(gates)}


def _weight(weight: float | None, sd: float | None, top: float) -> View:
    if weight is None:
        return {"text": "–", "sd": "", "heat": "0", "deep": False}
    if weight == 0 and sd == 0:
        return {"text": "·", "sd": "", "heat": "0", "deep": False}  # an expert that the gate does not see
    heat = 0.02 + 0.9 * max(weight, 0) / top
    return {"text": f"{weight:.2f}", "sd": f"{sd:.2f}" if text.finite(sd) else "", "heat": f"{heat:.3f}", "deep": heat > 0.55}


def _reading(gates: Sequence[GateSummary]) -> list[str]:
    """Write sentences about the gates of a level: most and least alike tasks, and unused experts."""
    mean_of = {gate.task: [weight for weight in gate.mean if weight is not None] for gate in gates}
    shapes = {len(mean) for mean in mean_of.values()}
    if len(shapes) > 1 or any(None in gate.mean for gate in gates):
        return []
    (experts,) = shapes
    if experts == 1:
        return ["There is a single expert, so every gate gives it all the weight."]
    sentences = [_even(gates, experts)]
    pairs = [
        (sum(map(min, mean_of[first], mean_of[second])), first, second) for first, second in itertools.combinations(mean_of, 2)
    ]
    if pairs and min(pairs)[0] > 0.9995:
        sentences.append("All rows are equal: the tasks share one gate.")
    elif pairs:
        low, high = min(pairs), max(pairs)
        sentences.append(f"Most alike: {high[1]} and {high[2]}, with {100 * high[0]:.0f} % of their weight on the same experts.")
        if len(pairs) > 1:
            sentences.append(f"Least alike: {low[1]} and {low[2]}, with {100 * low[0]:.0f} %.")
    idle = [str(at + 1) for at in range(experts) if all(mean[at] < 0.1 / experts for mean in mean_of.values())]
    if idle:
        sentences.append(f"Hardly used by any task: expert {text.listed(idle)}.")
    return sentences


def _even(gates: Sequence[GateSummary], experts: int) -> str:
    """Write the weight of each expert in an even split, over the experts that a gate sees."""
    seen = [sum(1 for pair in zip(gate.mean, gate.sd, strict=True) if any(pair)) for gate in gates]
    if set(seen) == {experts}:
        return f"An even split over {experts} experts would be {1 / experts:.3f} each."
    dot = "A dot is an expert that the gate does not see."
    return (
        f"{dot} An even split over the {seen[0]} seen would be {1 / seen[0]:.3f} each." if len(set(seen)) == 1 and seen[0] else dot
    )


def calibration(document: ComparisonDocument) -> list[View]:
    """Draw, for each binary task, the observed by the predicted rate of every architecture's ensemble."""
    sections: list[View] = []
    for number, task in enumerate(words.task_names(document)):
        lines, table = [], []
        for name, style in styles(document).items():
            report = document.results[name].tasks.get(task)
            if report is None:
                continue
            if report.calibration:
                lines.append(charts.Reliability(name, style, [(b.predicted, b.observed) for b in report.calibration]))
                loss = text.number(report.ensemble.get("log_loss"))
                table.append({"name": name, "style": style, "method": "", "loss": loss, **_fit(report.calibration)})
            if report.calibrated:
                loss = text.number(report.calibrated.metrics.get("log_loss"))
                fit = _fit(report.calibrated.calibration)
                table.append({"name": name, "style": style, "method": report.calibrated.method, "loss": loss, **fit})
        if lines:
            title = f"Reliability of {task}: observed by predicted rate"
            chart = Markup(charts.reliability(f"calibration-{number}", title, lines))
            sections.append({"task": task, "chart": chart, "table": table, "rate": _rate(document, task)})
    return sections


def _fit(bins: Sequence[CalibrationBin]) -> View:
    """Compute totals over the bins: observed divided by expected positives, and the mean gap weighted by rows."""
    total = sum(b.rows for b in bins) or 1
    expected = sum(b.rows * b.predicted for b in bins)
    observed = sum(b.rows * b.observed for b in bins)
    gap = sum(b.rows * abs(b.predicted - b.observed) for b in bins) / total
    shown = [(text.share(b.predicted), text.share(b.observed), text.whole(b.rows)) for b in bins]
    return {"ratio": f"{observed / expected:.3f}" if expected else text.UNDEFINED, "gap": text.number(gap), "bins": shown}


def _rate(document: ComparisonDocument, task: str) -> str:
    labels = document.data.tasks.get(task, {}).get("test")
    return text.share(labels.mean if labels else None)
