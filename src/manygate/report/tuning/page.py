"""This module renders ``tuning.json`` as a self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from manygate.evaluation.monitor import EXPLANATION
from manygate.files import write_text
from manygate.report.page import page
from manygate.report.tuning import view
from manygate.report.view import warning_groups
from manygate.results.tuning import TuningDocument


def render_tuning(document: TuningDocument) -> str:
    """Render the page, which needs no network, no script and no font. The same document gives the same text."""
    parts = {
        "document": document,
        "facts": view.facts(document),
        "warnings": warning_groups(document.data.warnings),
        "gains": view.gains(document),
        "settings": view.settings(document),
        "validation": view.validation(document),
        "tasks": view.tasks(document),
        "drawn": view.drawn(document),
        "trials": view.trials(document),
        "explanation": EXPLANATION if any(objective.metric is None for objective in document.objectives) else None,
        "reproduce": view.reproduce(document),
    }
    return page("report/tuning/tuning.html.j2", parts)


def write_tuning_page(document: TuningDocument, path: Path) -> None:
    """Render to a file; if writing fails, the old file stays unchanged."""
    write_text(path, render_tuning(document))
