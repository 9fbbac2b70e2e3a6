"""The sections of the page that are drawn: forest plots, learning curves, gates, calibration."""

from __future__ import annotations

import itertools
from typing import Any

from markupsafe import Markup

from manygate import text
from manygate.metrics.table import metric_label
from manygate.report import charts, words
from manygate.report.view import View, flat, history, styles
from manygate.report.words import Document


def forests(document: Document) -> View:
    """A forest plot for each task; tasks of one metric share a scale unless one would flatten the others."""
    names, panels, rows_of = words.judged(document), [], {}
    for task in words.task_names(document):
        entries = [(name, document["verdicts"][name].get(task)) for name in names]
        gains = [charts.Gain(name, entry.get("gain"), entry.get("ci95"), str(entry["verdict"])) for name, entry in entries if entry]
        if any(text.finite(row.gain) for row in gains):
            rows_of[task] = gains
    limits, shared = _limits(document, rows_of)
    for place, (task, rows) in enumerate(rows_of.items()):
        metric = metric_label(words.main_metric(document, task))
        chart = charts.forest(f"forest-{place}", task, metric, str(document.get("baseline")), rows, limits[task])
        panels.append({"task": task, "metric": metric, "chart": Markup(chart)})
    return {"panels": panels, "shared": shared}


def _limits(document: Document, rows_of: dict[str, list[charts.Gain]]) -> tuple[dict[str, tuple[float, float]], bool]:
    own = {task: charts.span(rows) for task, rows in rows_of.items()}
    limits, shared = dict(own), True
    for _, group in itertools.groupby(
        sorted(own, key=lambda task: words.main_metric(document, task)), lambda task: words.main_metric(document, task)
    ):
        spans = {task: own[task] for task in group}
        sizes = [high - low for low, high in spans.values()]
        if max(sizes) > 6 * min(sizes):
            shared = False
            continue
        common = min(low for low, _ in spans.values()), max(high for _, high in spans.values())
        limits.update(dict.fromkeys(spans, common))
    return limits, shared


def learning(document: Document) -> list[View]:
    """For each task, the validation metric and the training loss by epoch, all architectures in one chart."""
    sections = []
    for place, task in enumerate(words.task_names(document)):
        metric = metric_label(words.main_metric(document, task))
        sections.append(
            {
                "task": task,
                "charts": [
                    (
                        f"Validation {metric}",
                        _curves(document, f"valid-{place}", task, "valid", f"Validation {metric} of {task} by epoch"),
                    ),
                    (
                        "Training loss",
                        _curves(document, f"loss-{place}", task, "train_loss", f"Training loss of {task} by epoch"),
                    ),
                ],
            }
        )
    return sections


def _curves(document: Document, key: str, task: str, field: str, title: str) -> Markup | None:
    lines = []
    for name, style in styles(document).items():
        points = history(document, name, task, field)
        if points:
            best = _best_epoch(document, name, task) if field == "valid" else None
            lines.append(charts.Curve(name, style, points, best))
    return Markup(charts.curves(key, title, lines)) if lines else None


def _best_epoch(document: Document, name: str, task: str) -> float | None:
    """The epoch kept, the (lower) median over replicas so that it is an epoch that exists."""
    best: Any = (document["results"][name].get("stopped") or {}).get("best_epoch")
    best = best.get(task) if isinstance(best, dict) else best
    values = sorted(epoch for epoch in flat(best) if text.finite(epoch))
    return values[(len(values) - 1) // 2] if values else None


def frontier(document: Document) -> list[View]:
    """For each task, the test metric against the cost of a row's forward pass, all architectures in one chart."""
    sections = []
    for place, task in enumerate(words.task_names(document)):
        key = words.main_metric(document, task)
        points = []
        for name, style in styles(document).items():
            result = document["results"][name]
            found = (result["tasks"].get(task) or {}).get("metrics", {}).get(key) or {}
            if text.finite(found.get("mean")) and text.finite(result.get("flops")):
                points.append(charts.Cost(name, style, result["flops"], found["mean"], found.get("ci95")))
        if len(points) > 1:
            metric = metric_label(key)
            chart = charts.frontier(f"frontier-{place}", f"Test {metric} of {task} against FLOPs a row", metric, points)
            sections.append({"task": task, "metric": metric, "chart": Markup(chart), "on": charts.undominated(points)})
    return sections


def gates(document: Document) -> list[View]:
    """For each architecture with gates, a heat map of tasks by experts for each level."""
    sections = []
    for name, style in styles(document).items():
        found = [gate for gate in document["results"][name].get("gates") or [] if gate.get("mean")]
        levels = sorted({gate.get("level", 0) for gate in found})
        maps = [_heat([gate for gate in found if gate.get("level", 0) == level]) for level in levels]
        for level, heat in zip(levels, maps, strict=True):
            heat["level"] = f"level {level + 1} of {len(levels)}" if len(levels) > 1 else ""
        if maps:
            sections.append({"name": name, "style": style, "maps": maps})
    return sections


def _heat(found: list[View]) -> View:
    experts = max(len(gate["mean"]) for gate in found)
    top = max((weight for gate in found for weight in gate["mean"] if text.finite(weight)), default=0) or 1
    rows = []
    for gate in found:
        spreads = [*(gate.get("sd") or []), *[None] * experts][:experts]
        cells = [_weight(weight, sd, top) for weight, sd in zip([*gate["mean"], *[None] * experts][:experts], spreads, strict=True)]
        rows.append({"task": str(gate["task"]), "cells": cells})
    return {"experts": experts, "rows": rows, "reading": _reading(found)}


def _weight(weight: Any, sd: Any, top: float) -> View:
    if not text.finite(weight):
        return {"text": "–", "sd": "", "heat": "0", "deep": False}
    if weight == 0 and sd == 0:
        return {"text": "·", "sd": "", "heat": "0", "deep": False}  # an expert that the gate does not see
    heat = 0.02 + 0.9 * max(weight, 0) / top
    return {"text": f"{weight:.2f}", "sd": f"{sd:.2f}" if text.finite(sd) else "", "heat": f"{heat:.3f}", "deep": heat > 0.55}


def _reading(found: list[View]) -> list[str]:
    """What stands out in a level's gates, in sentences."""
    shapes = {len(gate["mean"]) for gate in found}
    if len(shapes) > 1 or not all(text.finite(weight) for gate in found for weight in gate["mean"]):
        return []
    (experts,) = shapes
    if experts == 1:
        return ["There is a single expert, so every gate gives it all the weight."]
    told = [_even(found, experts)]
    pairs = [
        (sum(map(min, one["mean"], two["mean"])), str(one["task"]), str(two["task"]))
        for one, two in itertools.combinations(found, 2)
    ]
    if pairs and min(pairs)[0] > 0.9995:
        told.append("All rows are equal: the tasks share one gate.")
    elif pairs:
        low, high = min(pairs), max(pairs)
        told.append(f"Most alike: {high[1]} and {high[2]}, with {100 * high[0]:.0f} % of their weight on the same experts.")
        if len(pairs) > 1:
            told.append(f"Least alike: {low[1]} and {low[2]}, with {100 * low[0]:.0f} %.")
    idle = [str(at + 1) for at in range(experts) if all(gate["mean"][at] < 0.1 / experts for gate in found)]
    if idle:
        told.append(f"Hardly used by any task: expert {text.listed(idle)}.")
    return told


def _even(found: list[View], experts: int) -> str:
    """What a gate without a preference would give each expert that it sees."""
    seen = [sum(1 for pair in zip(gate["mean"], gate.get("sd") or gate["mean"], strict=True) if any(pair)) for gate in found]
    if set(seen) == {experts}:
        return f"An even split over {experts} experts would be {1 / experts:.3f} each."
    dot = "A dot is an expert that the gate does not see."
    return (
        f"{dot} An even split over the {seen[0]} seen would be {1 / seen[0]:.3f} each." if len(set(seen)) == 1 and seen[0] else dot
    )


def calibration(document: Document) -> list[View]:
    """For each binary task, observed by predicted rate of every architecture's ensemble."""
    sections = []
    for place, task in enumerate(words.task_names(document)):
        lines, table = [], []
        for name, style in styles(document).items():
            found = document["results"][name]["tasks"].get(task) or {}
            bins = _known(found.get("calibration"))
            if bins:
                lines.append(charts.Reliability(name, style, [(b["predicted"], b["observed"]) for b in bins]))
                loss = text.number((found.get("ensemble") or {}).get("log_loss"))
                table.append({"name": name, "style": style, "method": "", "loss": loss, **_fit(bins)})
            after = found.get("calibrated") or {}
            if after:
                loss = text.number(after["metrics"].get("log_loss"))
                fit = _fit(_known(after["calibration"]))
                table.append({"name": name, "style": style, "method": str(after["method"]), "loss": loss, **fit})
        if lines:
            title = f"Reliability of {task}: observed by predicted rate"
            chart = Markup(charts.reliability(f"calibration-{place}", title, lines))
            sections.append({"task": task, "chart": chart, "table": table, "rate": _rate(document, task)})
    return sections


def _known(bins: Any) -> list[View]:
    return [b for b in bins or [] if text.finite(b.get("predicted")) and text.finite(b.get("observed"))]


def _fit(bins: list[View]) -> View:
    """Totals over the bins: observed over expected positives, and the mean gap weighted by rows."""
    weights = [b.get("rows") or 0 for b in bins]
    total = sum(weights) or 1
    expected = sum(w * b["predicted"] for w, b in zip(weights, bins, strict=True))
    observed = sum(w * b["observed"] for w, b in zip(weights, bins, strict=True))
    gap = sum(w * abs(b["predicted"] - b["observed"]) for w, b in zip(weights, bins, strict=True)) / total
    shown = [(text.share(b["predicted"]), text.share(b["observed"]), text.whole(b.get("rows"))) for b in bins]
    return {"ratio": f"{observed / expected:.3f}" if expected else text.UNDEFINED, "gap": text.number(gap), "bins": shown}


def _rate(document: Document, task: str) -> str:
    counts = (((document.get("data") or {}).get("tasks") or {}).get(task) or {}).get("test") or {}
    return text.share(counts.get("mean"))
