"""Who pays for sharing: the advice, the flags in the table of verdicts, the pairs of tasks, the gains in other metrics."""

from __future__ import annotations

import itertools

from markupsafe import Markup

from manygate import text
from manygate.metrics.table import metric_label
from manygate.report import charts, words
from manygate.report.view import View, legend, metric_head, styles
from manygate.report.words import Document

ADVICE = {
    "share": ("Share", "helps"),
    "share at a price": ("Share at a price", "price"),
    "separate": ("Keep them separate", "hurts"),
    "look again": ("Look again", "price"),
    "cannot tell": ("Cannot tell", "unsure"),
}
PANELS = 6
OTHER_METRICS = ("gauc", "log_loss", "calibration", "ece")


def advice(document: Document) -> View | None:
    """The recommendation with a word for its rule."""
    found = document.get("recommendation")
    if not found:
        return None
    word, kind = ADVICE.get(str(found["rule"]), (str(found["rule"]).capitalize(), "unsure"))
    return {"word": word, "class": kind, "text": str(found["text"]), "reasons": [str(one) for one in found["reasons"]]}


def marks(document: Document) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """What is to be said of an architecture and a task beside its verdict, each with a class."""
    found = document.get("transfer") or {}
    cured: dict[tuple[str, str], list[str]] = {}
    for flag in found.get("removed") or []:
        cured.setdefault((flag["model"], flag["task"]), []).append(str(flag["of"]))
    lines = {key: [("helps", f"undoes the harm of {_few(names)}")] for key, names in cured.items()}
    for flag in found.get("negative") or []:
        lines.setdefault((flag["model"], flag["task"]), []).append(("hurts", "negative transfer"))
    spoiled: dict[tuple[str, str], list[str]] = {}
    for flag in [flag for flag in found.get("probabilities") or [] if flag["ranking"] != "hurts"]:
        spoiled.setdefault((flag["model"], flag["task"]), []).append(metric_label(str(flag["metric"])))
    for key, names in spoiled.items():
        lines.setdefault(key, []).append(("hurts", f"worse {text.listed(names)}"))
    return lines


def _few(names: list[str]) -> str:
    return text.listed(names) if len(names) <= 2 else f"{len(names)} others"


def seesaw(document: Document) -> View | None:
    """The section's tables and charts; None without a baseline."""
    found = document.get("transfer")
    if not found:
        return None
    place = styles(document)
    flags = sorted(found["seesaws"], key=lambda flag: not flag["sure"])
    rows = [_flag(document, flag) | {"style": place.get(flag["to"], 0)} for flag in flags]
    return {
        "baseline": document.get("baseline"),
        "rows": [row for row in rows if row["sure"]],
        "possible": [row for row in rows if not row["sure"]],
        "planes": planes(document),
        "left_out": max(0, len(_pairs(document)) - PANELS),
        "gains": metric_tables(document),
        "differences": _differences(document),
        "needs": _needs(document),
        "looks": found["looks"],
    }


def _flag(document: Document, flag: View) -> View:
    """One seesaw, with both gains."""
    step = _step(document, str(flag["from"]), str(flag["to"]))
    cells = {side: _gain(step[flag[side]]) | {"task": str(flag[side])} for side in ("gains", "loses")}
    return {"from": str(flag["from"]), "to": str(flag["to"]), "sure": flag["sure"], **cells}


def _step(document: Document, origin: str, target: str) -> View:
    """The gains of each task's main metric from one architecture to another."""
    for pair in document["transfer"]["differences"]:
        if (pair["from"], pair["to"]) == (origin, target):
            return dict(pair["tasks"])
    return {task: own[words.main_metric(document, task)] for task, own in document["transfer"]["gains"][target].items()}


def _gain(entry: View | None) -> View:
    """A gain in words, by its joint interval."""
    if not entry or not text.finite(entry.get("gain")):
        return {"gain": text.UNDEFINED, "joint": "", "class": "unsure", "sure": False}
    low, high = entry.get("joint95") or (0.0, 0.0)
    kind = "helps" if low > 0 else "hurts" if high < 0 else "unsure"
    return {
        "gain": text.number(entry["gain"], signed=True),
        "joint": text.interval(entry.get("joint95")),
        "class": kind,
        "sure": kind != "unsure",
    }


def planes(document: Document) -> list[View]:
    """For each pair of tasks, a chart of all architectures' gains in both; the pairs with a seesaw come first, six at most."""
    names, place, found = words.judged(document), styles(document), document["transfer"]
    sure, possible = (
        [{flag["gains"], flag["loses"]} for flag in found["seesaws"] if flag["sure"] == kind] for kind in (True, False)
    )
    tags = {
        pair: "seesaw" if set(pair) in sure else "possible seesaw" if set(pair) in possible else "" for pair in _pairs(document)
    }
    pairs = sorted(tags, key=lambda pair: ("seesaw", "possible seesaw", "").index(tags[pair]))
    drawn = []
    for at, (one, two) in enumerate(pairs[:PANELS]):
        spots = []
        for name in names:
            across, up = (document["verdicts"][name].get(task) or {} for task in (one, two))
            if text.finite(across.get("gain")) and text.finite(up.get("gain")):
                ends = [charts.Gain(name, entry["gain"], entry.get("ci95"), str(entry["verdict"])) for entry in (across, up)]
                spots.append(charts.Spot(name, place[name], *ends))
        if spots:
            metrics = tuple(metric_label(words.main_metric(document, task)) for task in (one, two))
            chart = charts.plane(f"plane-{at}", (one, two), (metrics[0], metrics[1]), spots)
            drawn.append({"pair": f"{one} and {two}", "chart": Markup(chart), "tag": tags[one, two]})
    return drawn


def _pairs(document: Document) -> list[tuple[str, str]]:
    return list(itertools.combinations(words.task_names(document), 2))


def metric_tables(document: Document) -> list[View]:
    """For each binary task, the gains in the metrics beside the main one, an architecture a row."""
    tables = []
    for task in words.task_names(document):
        rows, keys = [], []
        for head in legend(document):
            own = (document["transfer"]["gains"].get(head["name"]) or {}).get(task)
            if own:
                keys = [key for key in own if key == "auc" or key in OTHER_METRICS]
                rows.append({**head, "cells": [_gain(own[key]) for key in keys]})
        if len(keys) > 1:
            tables.append({"task": task, "heads": [metric_head(key) for key in keys], "rows": rows})
    return tables


def _differences(document: Document) -> View | None:
    """Every two architectures against each other, a task a column."""
    pairs, tasks = document["transfer"]["differences"], words.task_names(document)
    rows = [
        {"from": str(pair["from"]), "to": str(pair["to"]), "cells": [_gain(pair["tasks"].get(task)) for task in tasks]}
        for pair in pairs
    ]
    return {"tasks": tasks, "rows": rows} if rows else None


def _needs(document: Document) -> View | None:
    """What it would take to tell differences of some sizes, a task a row."""
    found = (document.get("recommendation") or {}).get("needs") or []
    rows = [
        {
            "task": str(one["task"]),
            "metric": metric_label(str(one["metric"])),
            "seeds": text.number(one["seeds"]),
            "test": text.number(one["test"]),
            "sizes": [
                {
                    "size": f"{size['size']:g}",
                    "replicas": _many(size["replicas"], one["replicas"]),
                    "rows": _times(size["times_rows"]),
                }
                for size in one["sizes"]
            ],
        }
        for one in found
    ]
    return {"rows": rows, "model": document["recommendation"]["judged"]} if rows else None


def _many(replicas: int | None, now: int) -> str:
    return "over 10,000" if replicas is None else f"{replicas} as now" if replicas == now else text.whole(replicas)


def _times(factor: float) -> str:
    return "as now" if factor <= 1 else f"{factor:,.1f} ×" if factor < 10 else f"{factor:,.0f} ×"
