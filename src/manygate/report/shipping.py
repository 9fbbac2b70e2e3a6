"""This module prepares the table of effect, price and gain as shipped."""

from __future__ import annotations

from manygate import text
from manygate.report import words
from manygate.report.view import View
from manygate.results.base import Interval
from manygate.results.comparison import ComparisonDocument
from manygate.verdict.transfer import sure


def shipping(document: ComparisonDocument) -> View | None:
    """Prepare a row for each task and sharing model, the judged model first. None if no checkpoint has a price."""
    if not words.priced(document) or document.transfer is None:
        return None
    judged = document.recommendation.judged if document.recommendation else None
    names = sorted(document.price or {}, key=lambda name: name != judged)
    rows = [_row(document, name, task) for name in names for task in _tasks(document, name)]
    return {"first": [row for row in rows if row["name"] == judged], "rest": [row for row in rows if row["name"] != judged]}


def _tasks(document: ComparisonDocument, name: str) -> list[str]:
    return [task for task in words.task_names(document) if task in (document.price or {})[name]]


def _row(document: ComparisonDocument, name: str, task: str) -> View:
    price, shipped = (document.price or {})[name][task], (document.as_shipped or {})[name][task]
    effect = document.transfer.gains[name][task][price.metric]  # type: ignore[union-attr]
    return {
        "name": name,
        "task": task,
        "effect": _cell(effect.gain, effect.joint95, sure(effect)),
        "price": _cell(price.price, price.joint95, 0),
        "shipped": _cell(shipped.gain, shipped.joint95, sure(shipped)),
    }


def _cell(value: float | None, joint95: Interval | None, sign: int) -> View:
    return {
        "gain": text.number(value, signed=True),
        "joint": text.interval(joint95),
        "class": words.CLASSES[sign],
    }
