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
    found, name = alarms_only(document), document.architecture
    if not found:
        few = any(alarm.kind == "few_rows" for alarm in document.alarms)
        return f"Too few rows to look for faults in {name}." if few else f"No fault was found in {name}."
    if len(found) == 1:
        return f"{found[0].title}."
    serious = sum(alarm.severity == "serious" for alarm in found)
    tail = ", all of them serious" if serious == len(found) else f", {serious} of them serious" if serious else ""
    return f"{len(found)} alarms about {name}{tail}."


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
                    "worst": text.share(max(one.dead for other in alike for one in other.networks)),
                }
            )
    return rows


def conflict(document: Inspection) -> View | None:
    """Prepare pairs of tasks by layers: mean cosine of the gradients and the share of batches with a negative cosine."""
    found = document.conflict
    if not found:
        return None
    layers = list(dict.fromkeys(one.layer for one in found))
    layers.sort(key=lambda layer: layer != "input")
    cells = {(tuple(one.tasks), one.layer): one for one in found}
    top = max(0.2, *(abs(one.mean) for one in found))
    rows = []
    for pair in dict.fromkeys(tuple(one.tasks) for one in found):
        entries = [cells.get((pair, layer)) for layer in layers]
        rows.append({"name": " and ".join(pair), "cells": [_signed(one, top) for one in entries]})
    return {"layers": layers, "rows": rows}


def _signed(one: Conflict | None, top: float) -> View:
    if one is None:
        return {"text": "–", "sub": "", "side": "none", "strength": 0}
    return {
        "text": f"{one.mean:+.2f}".replace("-", "−"),
        "sub": f"{one.below_zero:.0%} below 0",
        "side": "helps" if one.mean > 0 else "hurts",
        "strength": round(70 * abs(one.mean) / top),
    }


def affinity(document: Inspection) -> View | None:
    """Prepare tasks by tasks: how a step for the task of the row changes the loss of the task of the column."""
    found = document.affinity
    if not found:
        return None
    names = list(dict.fromkeys(one.of for one in found))
    cells = {(one.of, one.on): one for one in found}
    others = [abs(one.mean) for one in found if one.of != one.on]
    top = max(others, default=0.0) or 1.0
    rows = [{"name": of, "cells": [_effect(cells.get((of, on)), of == on, top) for on in names]} for of in names]
    return {"names": names, "rows": rows}


def _effect(one: Affinity | None, own: bool, top: float) -> View:
    if one is None:
        return {"text": "–", "sub": "", "side": "none", "strength": 0}
    sure = own or (one.se is not None and abs(one.mean) > 2 * one.se)
    shown = f"{100 * one.mean:+.3f} %".replace("-", "−")
    spread = "" if one.se is None else f"± {200 * one.se:.3f}"
    side = "none" if own or not sure else "helps" if one.mean > 0 else "hurts"
    return {"text": shown, "sub": spread, "side": side, "strength": round(70 * min(abs(one.mean) / top, 1.0))}


def importance(document: Inspection) -> list[View]:
    """Draw, for each task, the features with the largest importance."""
    panels: list[View] = []
    for place, entry in enumerate(document.importance or []):
        bars = [charts.Bar(f.feature, f.drop, f.se or 0.0) for f in entry.features if f.drop is not None]
        if bars:
            metric = metric_label(entry.metric)
            title = f"Permutation importance for {entry.task}"
            chart = charts.importance(f"importance-{place}", title, metric, bars[:FEATURES])
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
    found = document.embeddings
    if not found:
        return None
    first = sorted(first_replica(found), key=lambda one: one.plain.share or 0.0)
    owners = list(dict.fromkeys(one.of for one in first_replica(found)))
    features = list(dict.fromkeys(one.feature for one in first))
    panels = []
    for place, of in enumerate(owners):
        own = [one for one in first if one.of == of and one.feature in features[:TABLES]]
        lines = [(one.feature, features.index(one.feature), one.plain.values) for one in own]
        chart = charts.spectra(f"spectra-{place}", f"Spectra of the tables, {of}", [line for line in lines if line[2]])
        panels.append({"of": of, "chart": Markup(chart)})
    rows = [
        {
            "name": one.feature,
            "style": features.index(one.feature) if one.feature in features[:TABLES] else None,
            "of": one.of,
            "dim": one.dim,
            "seen": text.whole(one.seen),
            "possible": one.possible,
            "plain": f"{one.plain.rank:.1f}",
            "by_use": f"{one.by_use.rank:.1f}",
            "share": text.share(one.plain.share),
        }
        for one in first
    ]
    return {"panels": panels, "rows": rows, "owners": owners, "some": len(features) > TABLES}


def noise(document: Inspection) -> list[View]:
    """Prepare each task's main metric and its value at chance."""
    said = {"better": "better than chance", "noise": "no better than chance", "too few rows": "too few rows to tell"}
    kinds = {"better": "helps", "noise": "hurts", "too few rows": "unsure"}
    return [
        {
            "task": one.task,
            "metric": metric_label(one.metric),
            "rows": text.whole(one.rows),
            "value": text.number(one.value),
            "half": text.number(2 * one.se) if one.se is not None else text.UNDEFINED,
            "chance": f"{one.chance:g}",
            "class": kinds[one.verdict],
            "word": said[one.verdict],
        }
        for one in document.noise or []
    ]


def first_replica(entries: Sequence[OfReplica] | None) -> list[OfReplica]:
    """List the records of the first replica."""
    return [entry for entry in entries or [] if entry.replica == 0]
