"""The document as the page shows it: every section's tables, ready to be written out by the template."""

from __future__ import annotations

from typing import Any

import yaml

from manygate import text
from manygate.metrics.table import METRICS, metric_label
from manygate.metrics.uncertainty import interval
from manygate.report import words
from manygate.report.charts import Point
from manygate.report.words import Document
from manygate.schema import Schema, Task

STYLES = {"single_task": 0, "shared_bottom": 1, "omoe": 2, "mmoe": 3}
SYMBOLS = {"helps": "▲", "hurts": "▼", "likely helps": "△", "likely hurts": "▽", "cannot tell": "○"}
CLASSES = {"helps": "helps", "hurts": "hurts", "likely helps": "helps likely", "likely hurts": "hurts likely"}
SPLITS = {"train": "training", "valid": "validation", "test": "test"}
NO_REASON = "no reason was recorded"
View = dict[str, Any]


def styles(document: Document) -> dict[str, int]:
    """Each architecture's place in the palette: fixed for the well-known ones, so that two reports look alike."""
    names = words.architectures(document)
    spare = iter(range(len(STYLES), len(STYLES) + len(names)))
    return {name: STYLES[name] if name in STYLES else next(spare) for name in names}


def legend(document: Document) -> list[View]:
    """The architectures in order, with their style and role."""
    best, baseline = words.chosen(document), document.get("baseline")
    return [
        {"name": name, "style": style, "chosen": name == best, "baseline": name == baseline}
        for name, style in styles(document).items()
    ]


def facts(document: Document) -> list[str]:
    """What the page is about, in a few short phrases."""
    data = document.get("data") or {}
    names, rows = words.architectures(document), data.get("rows") or {}
    replicas = sorted({document["results"][name].get("replicas", 1) for name in names})
    some = [str(data["log"])] if data.get("log") else []
    some += [text.count_of(sum(filter(None, rows.values())), "row")] if rows else []
    some += [text.count_of(len(words.task_names(document)), "task")]
    some += [text.count_of(len(names), "architecture")] if len(names) != 1 else names
    some += [text.count_of(replicas[0], "replica") + (" each" if len(names) > 1 else "")] if len(replicas) == 1 else []
    return some


def verdict_table(document: Document) -> View | None:
    """Tasks by architectures: gain, interval, verdict, beside the baseline's own score."""
    names, baseline = words.judged(document), document.get("baseline")
    if not names:
        return None
    rows, notes = [], []
    for task in words.task_names(document):
        key = words.main_metric(document, task)
        own = text.plus_minus(_summary(document, baseline, task, key))
        cells = [_verdict(document, name, task, _reason(document, (name, baseline), task, key)) for name in names]
        notes += [f"{task}: {cell['reason']}" for cell in cells if cell["reason"]]
        rows.append({"task": task, "metric": metric_label(key), "own": own, "score": own.partition(" ")[0], "cells": cells})
    entries = {head["name"]: head for head in legend(document)}
    heads = [entries[name] for name in names]
    return {
        "baseline": baseline,
        "heads": heads,
        "rows": rows,
        "valid": _validation(document, [baseline, *names]),
        "interval_note": words.interval_note(document),
        "notes": list(dict.fromkeys(notes)),
        "joint": bool(document.get("transfer")),
    }


def _verdict(document: Document, name: str, task: str, reason: str = "") -> View:
    """One gain in words; ``reason`` says why, should the gain be undefined."""
    entry = document["verdicts"][name].get(task)
    if entry is None:
        return {"class": "unsure", "symbol": "", "word": "–", "gain": "", "interval": "", "reason": None}
    word = words.outcome(document, name, task)
    return {
        "class": CLASSES.get(word, "unsure"),
        "symbol": SYMBOLS.get(word, "○"),
        "word": word,
        "gain": text.number(entry.get("gain"), signed=True),
        "interval": text.interval(entry.get("ci95")),
        "reason": None if text.finite(entry.get("gain")) else reason or NO_REASON,
    }


def _reason(document: Document, names: tuple[Any, ...], task: str, key: str) -> str:
    """Why a task's metric is undefined in the first of some architectures to say so."""
    entries = [(document["results"].get(name) or {"tasks": {}})["tasks"].get(task) or {} for name in names]
    return next((str(why) for entry in entries if (why := (entry.get("undefined") or {}).get(key))), "")


def _validation(document: Document, names: list[Any]) -> list[str] | None:
    valid = (document.get("best") or {}).get("valid")
    return [text.plus_minus(valid.get(name)) if name in valid else "–" for name in names] if valid else None


def _summary(document: Document, name: Any, task: str, key: str) -> View | None:
    result = document["results"].get(name) or {"tasks": {}}
    return (result["tasks"].get(task) or {"metrics": {}})["metrics"].get(key)


def verdict_numbers(document: Document) -> list[View]:
    """Everything behind the forest plot, a row for each task and architecture."""
    return [
        {
            "task": task,
            "name": name,
            "metric": metric_label(str(entry["metric"])),
            **_verdict(document, name, task),
            "sd": text.number(entry.get("sd_replicas")),
            "se": text.number(entry.get("se_test")),
        }
        for task in words.task_names(document)
        for name in words.judged(document)
        if (entry := document["verdicts"][name].get(task))
    ]


def score_table(document: Document) -> View | None:
    """Without a baseline: the main metric of each task, for each architecture."""
    if words.judged(document):
        return None
    heads, rows = legend(document), []
    for task in words.task_names(document):
        key = words.main_metric(document, task)
        cells = [_cell(document["results"][head["name"]]["tasks"].get(task), key, []) for head in heads]
        rows.append({"task": task, "metric": metric_head(key), "cells": cells})
    names = [head["name"] for head in heads]
    return {"heads": heads, "rows": rows, "valid": _validation(document, names) if len(names) > 1 else None}


def costs(document: Document) -> list[View]:
    """What each architecture took: parameters, time, epochs."""
    rows = []
    for head in legend(document):
        result = document["results"][head["name"]]
        stopped = result.get("stopped") or {}
        cost = {key: result.get(key) for key in ("parameters", "network_parameters", "flops", "replicas")}
        rows.append(
            {
                **head,
                **{key: text.whole(value) for key, value in cost.items()},
                "seconds": text.duration(result.get("seconds")),
                "epochs": best_epochs(stopped.get("best_epoch")),
                "reason": str(stopped.get("reason") or ""),
            }
        )
    return rows


def best_epochs(found: Any) -> str:
    """The epochs kept, over replicas (and tasks, where each has its own network).

    >>> best_epochs([3, 5, 4]), best_epochs({"click": [2], "buy": [2]}), best_epochs(None)
    ('3–5', '2', '–')
    """
    values = [epoch for epoch in flat(found) if text.finite(epoch)]
    if not values:
        return "–"
    low, high = min(values), max(values)
    return text.whole(low) if low == high else f"{text.whole(low)}–{text.whole(high)}"


def flat(tree: Any) -> list[Any]:
    """The leaves of nested lists and mappings.

    >>> flat({"a": [1, None], "b": 2})
    [1, None, 2]
    """
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [leaf for branch in tree for leaf in flat(branch)] if isinstance(tree, list | tuple) else [tree]


def results(document: Document) -> list[View]:
    """A table for each task and each joint event of a funnel: architectures by metrics, with footnotes for what is undefined."""
    tables = []
    everything = {head["name"]: _with_joint(document["results"][head["name"]]["tasks"]) for head in legend(document)}
    joint = [name for tasks in everything.values() for name in tasks if name not in words.task_names(document)]
    for task in dict.fromkeys([*words.task_names(document), *joint]):
        entries = [(head, everything[head["name"]].get(task)) for head in legend(document)]
        known = [entry for _, entry in entries if entry]
        keys = list(dict.fromkeys(key for entry in known for key in [*entry["metrics"], *(entry.get("undefined") or {})]))
        keys.sort(key=lambda key: list(METRICS).index(key) if key in METRICS else len(METRICS))
        notes: list[str] = []
        rows = [{**head, "cells": [_cell(entry, key, notes) for key in keys]} for head, entry in entries if entry]
        heads = [metric_head(key) for key in keys]
        kind = f"{known[0].get('kind', 'binary')}, on any row" if task in joint else words.task_kind(document, task)
        tables.append({"task": task, "kind": kind, "heads": heads, "rows": rows, "notes": notes})
    return tables


def _with_joint(tasks: View) -> View:
    """A result's tasks, and those of a funnel's joint events by their names."""
    return {**tasks, **{task["joint"]["name"]: task["joint"] for task in tasks.values() if task.get("joint")}}


def _cell(entry: View | None, key: str, notes: list[str]) -> View:
    """One metric: mean and half-width, the ensemble's value, or why it is undefined (``notes`` collects the reasons)."""
    if entry is None:
        return {"text": "–", "ensemble": None, "reason": None, "note": 0}
    summary, ensemble = entry["metrics"].get(key), (entry.get("ensemble") or {}).get(key)
    shown = text.plus_minus(summary)
    value, _, half = shown.partition(" ± ")
    cell = {"text": shown, "value": value, "half": half, "reason": None, "note": 0}
    several = len((summary or {}).get("values") or []) != 1
    cell["ensemble"] = text.number(ensemble) if several and text.finite(ensemble) else None
    if shown == text.UNDEFINED:
        cell["reason"] = str((entry.get("undefined") or {}).get(key) or NO_REASON)
        if cell["reason"] not in notes:
            notes.append(str(cell["reason"]))
        cell["note"] = notes.index(str(cell["reason"])) + 1
    return cell


def inspected(document: Document) -> list[View]:
    """The alarms that each architecture's inspection raised, notes left out."""
    entries = [(head, document["results"][head["name"]].get("inspection")) for head in legend(document)]
    return [
        {
            **head,
            "alarms": [alarm for alarm in found.get("alarms") or [] if alarm["severity"] != "note"],
            "seen": f"{text.whole(found.get('rows'))} rows, {text.count_of(found['replicas']['looked_at'], 'replica')}",
        }
        for head, found in entries
        if found
    ]


def metric_head(key: str) -> View:
    """A metric's label, its arrow and its meaning; one that the table lacks has a label alone."""
    metric = METRICS.get(key)
    return {"label": metric_label(key), "arrow": metric.arrow if metric else "", "meaning": metric.meaning if metric else ""}


def meanings(document: Document) -> list[View]:
    """The known metrics that the page shows, for the glossary."""
    tasks = [task for result in document["results"].values() for task in result["tasks"].values()]
    used = {key for task in tasks for key in task["metrics"]}
    return [metric_head(key) for key in METRICS if key in used]


def data(document: Document) -> View:
    """Rows and labels of each split, the features with kind and why."""
    found = document.get("data") or {}
    splits = [split for split in SPLITS if split in (found.get("rows") or {})]
    schema = document.get("schema") or {}
    spaces = {str(task.get("name")): Task.model_validate(task).space for task in schema.get("tasks") or []}
    tasks = []
    for name, counts in (found.get("tasks") or {}).items():
        binary = name not in words.task_names(document) or words.task_kind(document, name) == "binary"
        cells = [_labels(counts.get(split) or {}, binary) for split in splits]
        tasks.append({"name": name, "kind": "binary" if binary else "regression", "where": spaces.get(name, ""), "cells": cells})
    return {
        "log": found.get("log"),
        "splits": [(SPLITS[split], text.whole(found["rows"][split])) for split in splits],
        "tasks": tasks,
        "features": [_feature(feature) for feature in found.get("features") or []],
        "roles": [(role, str(schema[role])) for role in ("group", "time", "weight") if schema.get(role)],
        "ignored": [(str(name), str(why)) for name, why in (schema.get("ignored") or {}).items()],
    }


def _labels(counts: View, binary: bool) -> View:
    mean = counts.get("mean")
    return {"rows": text.whole(counts.get("rows")), "mean": text.share(mean) if binary else text.number(mean)}


def _feature(feature: View) -> View:
    return {
        "name": str(feature.get("name")),
        "kind": str(feature.get("kind")),
        "bias": bool(feature.get("bias")),
        "rows": text.whole(feature.get("rows")),
        "columns": text.whole(feature.get("columns")),
        "nulls": text.share(feature.get("null_share")),
        "note": str(feature.get("note") or ""),
    }


def reproduce(document: Document) -> View:
    """Command, configuration and schema as a person would write them."""
    return {
        "command": document.get("command") or "",
        "config": _yaml(document.get("config")),
        "schema": _schema(document.get("schema")),
        "versions": [
            ("manygate", str(document.get("manygate_version", "unknown"))),
            *([("torch", str(document["torch_version"]))] if document.get("torch_version") else []),
            ("format of the results", str(document.get("comparison_version", "unknown"))),
        ],
    }


def _schema(tree: Any) -> str:
    """The schema in its file's short form, or as it was found if it does not parse."""
    try:
        return Schema.model_validate(tree).to_yaml() if tree else ""
    except ValueError:
        return _yaml(tree)


class _Dumper(yaml.SafeDumper):
    """YAML with lists in one line, which is how people write settings."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        return super().represent_sequence(tag, sequence, flow_style=True)


def _yaml(tree: Any) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100) if tree else ""


def history(document: Document, name: str, task: str, field: str) -> list[Point]:
    """The mean over replicas and its interval, by epoch, while at least half of the most replicas seen were still training."""
    rows = []
    for entry in document["results"][name].get("history") or []:
        values = [value for value in (entry.get(field) or {}).get(task) or [] if text.finite(value)]
        rows.append((entry["epoch"], values))
    most = max((len(values) for _, values in rows), default=0)
    metric = METRICS[words.main_metric(document, task)]
    ends = (metric.lowest, metric.highest) if field == "valid" else ()
    summaries = [(epoch, interval(values, *ends)) for epoch, values in rows if values and 2 * len(values) >= most]
    return [Point(epoch, found["mean"], found["ci95"]) for epoch, found in summaries]
