"""This module prepares the charts and tables of every section of the page, as the template prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from markupsafe import Markup

from manygate import text
from manygate.metrics.table import metric_label
from manygate.report.inspection import charts
from manygate.results.inspection import (
    Affinity,
    Alarm,
    Conflict,
    EmbeddingSpectrum,
    Inspection,
    InspectionDocument,
    Seen,
    SeenExperts,
    SeenGates,
    SeenLayer,
    SegmentGate,
)

View = dict[str, object]
"""The values that a template prints, by name."""
OfReplica = TypeVar("OfReplica", Seen, SeenGates, SeenLayer, SeenExperts, SegmentGate, EmbeddingSpectrum)
FEATURES = 15
"""The largest number of features in a chart of importance."""
TABLES = 8
"""The largest number of tables in a chart of spectra."""


def alarms_only(document: Inspection) -> list[Alarm]:
    """List the alarms without the notes."""
    return [alarm for alarm in document.alarms if alarm.severity != "note"]


def summary(document: Inspection) -> str:
    """Write a sentence about the alarms."""
    alarms, name = alarms_only(document), document.architecture
    if not alarms:
        too_few = any(alarm.kind == "few_rows" for alarm in document.alarms)
        return f"Too few rows to look for faults in {name}." if too_few else f"No fault was found in {name}."
    if len(alarms) == 1:
        return f"{alarms[0].title}."
    serious = sum(alarm.severity == "serious" for alarm in alarms)
    tail = ", all of them serious" if serious == len(alarms) else f", {serious} of them serious" if serious else ""
    return f"{len(alarms)} alarms about {name}{tail}."


def facts(document: Inspection) -> list[str]:
    """List the architecture, the log, and the numbers of rows and replicas that were inspected."""
    log, total = (document.log, document.rows_of_log) if isinstance(document, InspectionDocument) else ("", document.rows)
    replicas, rows = document.replicas, document.rows
    seen = text.count_of(rows, "row") if rows == total else f"{rows:,} of {total:,} rows, spread evenly"
    many = text.count_of(replicas.of, "replica")
    counted = many if replicas.looked_at == replicas.of else f"{replicas.looked_at} of {many}"
    return [document.architecture, *([log] if log else []), seen, counted]


def looked_for(document: Inspection) -> str:
    """Write the faults that the measured parts can show; nothing if there are too few rows."""
    if any(alarm.kind == "few_rows" for alarm in document.alarms):
        return ""
    names = {
        "gates": "collapsed and polarised gates, unused experts",
        "dead": "dead units and towers",
        "experts": "identical experts",
        "noise": "tasks whose labels are noise",
        "conflict": "tasks in conflict",
        "embeddings": "collapsed embeddings",
    }
    return ", ".join(name for part, name in names.items() if part in document.parts)


def likeness(document: Inspection) -> list[View]:
    """Prepare, for each level of the first replica, a heat map of the linear CKA of each pair of experts, with the cosine below."""
    sections: list[View] = []
    for entry in first_replica(document.experts):
        rows = [
            [
                {
                    "text": "–" if cka is None else f"{cka:.2f}",
                    "sub": "" if entry.cosine[a][b] is None or a == b else f"{entry.cosine[a][b]:.2f}",
                    "heat": f"{0.9 * (cka or 0) ** 2 if a != b else 0:.3f}",
                    "deep": a != b and (cka or 0) > 0.8,
                    "self": a == b,
                }
                for b, cka in enumerate(row)
            ]
            for a, row in enumerate(entry.cka)
        ]
        scales = [f"{scale:.2f}" for scale in entry.scale]
        sections.append({"level": entry.level, "rows": rows, "scales": scales})
    return sections


def units(document: Inspection) -> list[View]:
    """Prepare, for each hidden layer of the first replica, each network's dead units and zeros, and the worst over all replicas."""
    layers = document.dead.layers if document.dead else []
    rows: list[View] = []
    for entry in first_replica(layers):
        alike = [other for other in layers if (other.part, other.layer) == (entry.part, entry.layer)]
        several = sum(other.part == entry.part and other.layer != entry.layer for other in first_replica(layers))
        name = f"{entry.part}, layer {entry.layer}" if several else entry.part
        for network in entry.networks:
            rows.append(
                {
                    "part": f"{name} of {entry.model}" if entry.model else name,
                    "name": network.name,
                    "units": text.whole(network.units),
                    "dead": network.dead,
                    "dead_text": text.share(network.dead),
                    "zeros": network.zeros,
                    "zeros_text": text.share(network.zeros),
                    "mostly": text.share(network.mostly_zero),
                    "worst": text.share(max(alike_network.dead for other in alike for alike_network in other.networks)),
                }
            )
    return rows


def conflict(document: Inspection) -> View | None:
    """Prepare pairs of tasks by layers: mean cosine of the gradients and the share of batches with a negative cosine."""
    conflicts = document.conflict
    if not conflicts:
        return None
    layers = list(dict.fromkeys(measured.layer for measured in conflicts))
    layers.sort(key=lambda layer: layer != "input")
    cells = {(tuple(measured.tasks), measured.layer): measured for measured in conflicts}
    top = max(0.2, *(abs(measured.mean) for measured in conflicts))
    rows = []
    for pair in dict.fromkeys(tuple(measured.tasks) for measured in conflicts):
        entries = [cells.get((pair, layer)) for layer in layers]
        rows.append({"name": " and ".join(pair), "cells": [_signed(measured, top) for measured in entries]})
    return {"layers": layers, "rows": rows}


def _signed(conflict: Conflict | None, top: float) -> View:
    if conflict is None:
        return {"text": "–", "sub": "", "side": "none", "strength": 0}
    return {
        "text": f"{conflict.mean:+.2f}".replace("-", "−"),
        "sub": f"{conflict.below_zero:.0%} below 0",
        "side": "helps" if conflict.mean > 0 else "hurts",
        "strength": round(70 * abs(conflict.mean) / top),
    }


def affinity(document: Inspection) -> View | None:
    """Prepare tasks by tasks: how a step for the task of the row changes the loss of the task of the column."""
    effects = document.affinity
    if not effects:
        return None
    names = list(dict.fromkeys(effect.of for effect in effects))
    cells = {(effect.of, effect.on): effect for effect in effects}
    others = [abs(effect.mean) for effect in effects if effect.of != effect.on]
    top = max(others, default=0.0) or 1.0
    rows = [{"name": of, "cells": [_effect(cells.get((of, on)), of == on, top) for on in names]} for of in names]
    return {"names": names, "rows": rows}


def _effect(effect: Affinity | None, same_task: bool, top: float) -> View:
    if effect is None:
        return {"text": "–", "sub": "", "side": "none", "strength": 0}
    sure = same_task or (effect.se is not None and abs(effect.mean) > 2 * effect.se)
    shown = f"{100 * effect.mean:+.3f} %".replace("-", "−")
    spread = "" if effect.se is None else f"± {200 * effect.se:.3f}"
    side = "none" if same_task or not sure else "helps" if effect.mean > 0 else "hurts"
    return {"text": shown, "sub": spread, "side": side, "strength": round(70 * min(abs(effect.mean) / top, 1.0))}


def importance(document: Inspection) -> list[View]:
    """Draw, for each task, the features with the largest importance."""
    panels: list[View] = []
    for number, entry in enumerate(document.importance or []):
        bars = [charts.Bar(f.feature, f.drop, f.se or 0.0) for f in entry.features if f.drop is not None]
        if bars:
            metric = metric_label(entry.metric)
            title = f"Permutation importance for {entry.task}"
            chart = charts.importance(f"importance-{number}", title, metric, bars[:FEATURES])
            panels.append(
                {
                    **entry.to_tree(),
                    "label": metric,
                    "score": text.number(entry.value),
                    "chart": Markup(chart),
                    "rest": len(bars) - FEATURES,
                }
            )
    return panels


def embeddings(document: Inspection) -> View | None:
    """Draw the spectra of the first replica's tables with the lowest rank shares, and list the effective rank of every table."""
    spectra = document.embeddings
    if not spectra:
        return None
    first = sorted(first_replica(spectra), key=lambda table: table.plain.share or 0.0)
    owners = list(dict.fromkeys(table.of for table in first_replica(spectra)))
    features = list(dict.fromkeys(table.feature for table in first))
    panels = []
    for number, of in enumerate(owners):
        tables = [table for table in first if table.of == of and table.feature in features[:TABLES]]
        lines = [(table.feature, features.index(table.feature), table.plain.values) for table in tables]
        chart = charts.spectra(f"spectra-{number}", f"Spectra of the tables, {of}", [line for line in lines if line[2]])
        panels.append({"of": of, "chart": Markup(chart)})
    rows = [
        {
            "name": table.feature,
            "style": features.index(table.feature) if table.feature in features[:TABLES] else None,
            "of": table.of,
            "dim": table.dim,
            "seen": text.whole(table.seen),
            "possible": table.possible,
            "plain": f"{table.plain.rank:.1f}",
            "by_use": f"{table.by_use.rank:.1f}",
            "share": text.share(table.plain.share),
        }
        for table in first
    ]
    return {"panels": panels, "rows": rows, "owners": owners, "some": len(features) > TABLES}


def noise(document: Inspection) -> list[View]:
    """Prepare each task's main metric and its value at chance."""
    wording = {"better": "better than chance", "noise": "no better than chance", "too few rows": "too few rows to tell"}
    kinds = {"better": "helps", "noise": "hurts", "too few rows": "unsure"}
    return [
        {
            "task": entry.task,
            "metric": metric_label(entry.metric),
            "rows": text.whole(entry.rows),
            "value": text.number(entry.value),
            "half": text.number(2 * entry.se) if entry.se is not None else text.UNDEFINED,
            "chance": f"{entry.chance:g}",
            "class": kinds[entry.verdict],
            "word": wording[entry.verdict],
        }
        for entry in document.noise or []
    ]


def first_replica(entries: Sequence[OfReplica] | None) -> list[OfReplica]:
    """List the records of the first replica."""
    return [entry for entry in entries or [] if entry.replica == 0]
