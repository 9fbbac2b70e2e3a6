"""This module prepares the sections about gates: PLE's figure, entropy, segments, training."""

from __future__ import annotations

import math
from collections.abc import Callable

from markupsafe import Markup

from manygate import text
from manygate.report.inspection import charts
from manygate.report.inspection.view import View, first_replica
from manygate.results.inspection import GateUse, Inspection, InspectionDocument, SeenGates, SegmentGate


def utilisation(document: Inspection, replica: int = 0) -> list[View]:
    """Prepare PLE's figure for a replica: for each level, a chart for each task, all with the same scale, and a sentence."""
    sections = []
    entries = [entry for entry in document.gates or [] if entry.replica == replica]
    for number, entry in enumerate(entries):
        top = min(1.04, 1.08 * max(min(m + s, 1.0) for use in entry.tasks for m, s in zip(use.mean, use.sd, strict=True)))
        seen_by = [sum(e in use.sees for use in entry.tasks) for e in range(entry.experts)]
        panels = []
        for t, use in enumerate(entry.tasks):
            uses = [
                charts.Use(use.mean[e] if e in use.sees else None, use.sd[e], seen_by[e] == 1 < len(entry.tasks))
                for e in range(entry.experts)
            ]
            title = f"Expert utilisation of {use.task}, {entry.level}"
            chart = charts.utilisation(f"use-{replica}-{number}-{t}", title, uses, 1 / len(use.sees), top)
            panels.append({"task": use.task, "chart": Markup(chart), "mixture": _mixture(use)})
        some = any(count == 1 for count in seen_by) and len(entry.tasks) > 1
        sections.append({"level": entry.level, "panels": panels, "task_experts": some, "apart": _apart(entry)})
    return sections


def _mixture(use: GateUse) -> str:
    if use.entropy_share is None:
        return f"sees one expert, {text.count_of(use.rows, 'row')}"
    effective = math.exp(use.entropy)
    return f"in effect {effective:.1f} of {len(use.sees)} experts"


def _apart(entry: SeenGates) -> str:
    """Write which tasks have the most and the least similar gates."""
    pairs = sorted(entry.distances, key=lambda pair: pair.of_means)
    if not pairs:
        return ""
    nearest, farthest = [f"{pair.of_means:.2f}, between {text.listed(pair.tasks)}" for pair in (pairs[0], pairs[-1])]
    scale = "A distance of 0 is the same mixture, 1 is no expert in common."
    if len(pairs) == 1:
        return f"The distance between the mean gates is {nearest}. {scale}"
    return f"The smallest distance between two mean gates is {nearest}; the largest is {farthest}. {scale}"


def gate_table(document: Inspection) -> list[View]:
    """Prepare, for each level and task, entropy and polarisation of the first replica, and their range over replicas."""
    rows: dict[tuple[str, str], list[GateUse]] = {}
    for entry in document.gates or []:
        for use in entry.tasks:
            rows.setdefault((entry.level, use.task), []).append(use)
    return [
        {
            "level": level,
            "task": task,
            "numbers": [
                _spread([use.entropy_share for use in uses], _share),
                _spread([use.polarised for use in uses], text.share),
                _spread([max(use.mean) for use in uses], text.share),
            ],
        }
        for (level, task), uses in rows.items()
    ]


def _spread(values: list[float | None], say: Callable[[float | None], str]) -> tuple[str, str]:
    """Format the first value and, if the values differ, the smallest and the largest."""
    known = sorted(value for value in values if value is not None)
    ends = [say(value) for value in (known[:1] + known[-1:])]
    return say(values[0]), " to ".join(ends) if len(set(ends)) > 1 else ""


def segments(document: Inspection) -> View | None:
    """Prepare the first replica's gates by segment: a heat map for each level and task."""
    segments = document.segments
    if not segments or not segments.gates:
        return None
    maps: dict[tuple[str, str], list[SegmentGate]] = {}
    for entry in first_replica(segments.gates):
        maps.setdefault((entry.level, entry.task), []).append(entry)
    shown = []
    for (level, task), entries in maps.items():
        top = max(max(entry.mean) for entry in entries) or 1.0
        farthest = max(entries, key=lambda entry: entry.distance)
        rows = [
            {"name": entry.segment, "rows": text.whole(entry.rows), "cells": _heat_row(entry, top), "far": entry.distance}
            for entry in entries
        ]
        reading = f"Furthest from the mean over all rows: {farthest.segment}, distance {farthest.distance:.2f}."
        shown.append({"level": level, "task": task, "rows": rows, "experts": entries[0].sees, "reading": reading})
    return {"by": segments.by, "maps": shown}


def _heat_row(entry: SegmentGate, top: float) -> list[View]:
    """Prepare a cell for each expert that the gate sees."""
    heats = [(entry.mean[e], 0.02 + 0.9 * entry.mean[e] / top) for e in entry.sees]
    return [{"text": f"{mean:.2f}", "heat": f"{heat:.3f}", "deep": heat > 0.55} for mean, heat in heats]


def over_time(document: Inspection) -> list[View]:
    """Draw the mean weight of each expert by epoch, for each level and task."""
    history = document.history if isinstance(document, InspectionDocument) else None
    epochs = [entry for entry in history or [] if entry.gates]
    levels = list(dict.fromkeys(entry.level for entry in document.gates or []))
    panels: list[View] = []
    for level in range(len(epochs[0].gates) if epochs else 0):
        for t, task in enumerate(document.tasks):
            weight_PE = [entry.gates[level][t] for entry in epochs]
            seen = [e for e in range(len(weight_PE[0])) if any(row[e] for row in weight_PE)]
            if len(seen) < 2:
                continue
            lines = [charts.Line(str(e + 1), e, [row[e] for row in weight_PE]) for e in seen]
            name = levels[level] if len(levels) == len(epochs[0].gates) > 1 else ""
            title = f"Mean gate weights of {task.task} by epoch {name}".strip()
            chart = charts.over_time(f"time-{level}-{t}", title, lines, [entry.epoch for entry in epochs])
            panels.append({"task": task.task, "level": name, "chart": Markup(chart)})
    return panels


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
