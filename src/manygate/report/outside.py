"""This module prepares the section on models from outside, such as LightGBM: their scores, and the networks' gains over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import JsonValue

from manygate import text
from manygate.metrics.table import MAIN_METRIC, metric_label
from manygate.report import words
from manygate.report.view import View, legend
from manygate.results.baselines import AgainstBaselines, BaselineResult
from manygate.results.comparison import ComparisonDocument
from manygate.results.summary import JointGain
from manygate.verdict.outside import TITLES
from manygate.verdict.transfer import sure, turned


def outside(document: ComparisonDocument) -> View | None:
    """Prepare the section. None if the comparison has no model from outside."""
    against = document.against_baselines
    if against is None or not document.baselines:
        return None
    return {"text": against.text, "tables": [_table(document, against, entry) for entry in document.baselines.values()]}


def outside_gain(document: ComparisonDocument, name: str, task: str) -> JointGain | None:
    """Return the gain of a model from outside over the document's baseline, a network for each task; None without one."""
    if document.against_baselines is None or document.baseline is None:
        return None
    gain = document.against_baselines.gains.get(document.baseline, {}).get(name, {}).get(task)
    return None if gain is None else turned(gain)


def outside_outcome(gain: JointGain) -> str:
    """Return the verdict of a gain, with "likely" before it if the joint interval contains zero and ``ci95`` does not."""
    return gain.verdict if sure(gain) or gain.verdict == "cannot tell" else f"likely {gain.verdict}"


def _table(document: ComparisonDocument, against: AgainstBaselines, entry: BaselineResult) -> View:
    """Prepare a table of networks by tasks for one model from outside."""
    tasks = [
        {
            "name": name,
            "metric": metric_label(MAIN_METRIC[report.kind]),
            "score": text.plus_minus(summary.mean, summary.ci95),
        }
        for name, report in entry.tasks.items()
        if (summary := report.metrics[MAIN_METRIC[report.kind]])
    ]
    rows = [
        {**head._asdict(), "cells": [_cell(against.gains[head.name][entry.name].get(name)) for name in entry.tasks]}
        for head in legend(document)
    ]
    return {
        "title": TITLES[entry.name],
        "time": f"{text.duration(entry.seconds)}, {text.count_of(entry.replicas, 'replica')}",
        "tasks": tasks,
        "rows": rows,
        "failures": [f"{failure.task}: {failure.reason}." for failure in entry.failures],
        "settings": ", ".join(f"{name} {_value(value)}" for name, value in entry.settings.items()) or "none",
        "inputs": text.listed([f"{form} for {task}" for task, found in entry.inputs.items() if (form := _inputs(found))]),
    }


def _value(value: JsonValue) -> str:
    return text.listed([str(part) for part in value], "or") if isinstance(value, list) else str(value)


def _inputs(chosen: Sequence[str | None]) -> str:
    """Name the inputs that validation chose for a task, with their replicas if these differ; nothing without a choice."""
    counts = Counter(name for name in chosen if name is not None).most_common()
    if len(counts) == 1:
        return counts[0][0]
    return text.listed([f"{name} ({text.count_of(count, 'replica')})" for name, count in counts])


def _cell(gain: JointGain | None) -> View:
    if gain is None:
        return {"gain": "–", "joint": "", "css": "unsure"}
    return {"gain": text.number(gain.gain, signed=True), "joint": text.interval(gain.joint95), "css": words.CLASSES[sure(gain)]}
