"""This module renders ``inspection.json`` as a self-contained HTML page, and as short forms for notebooks and the run's report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from manygate.files import write_text
from manygate.inspection import thresholds
from manygate.report.inspection import view, view_gates
from manygate.report.inspection.view import summary
from manygate.report.page import printable
from manygate.report.svg import PALETTE
from manygate.report.templates import environment
from manygate.results.inspection import Inspection

if TYPE_CHECKING:
    pass


__all__ = ["html_alarms", "render", "summary", "write_page"]


def write_page(document: Inspection, path: Path) -> None:
    """Render to a file; if writing fails, the old file stays unchanged."""
    write_text(path, render(document))


def render(document: Inspection) -> str:
    """Render the page; the same document gives the same text."""
    parts = {
        "document": document,
        "headline": summary(document),
        "alarms": document.alarms,
        "facts": view.facts(document),
        "looked_for": None if view.alarms_only(document) else view.looked_for(document),
        "utilisation": view_gates.utilisation(document),
        "others": [view_gates.utilisation(document, r) for r in range(1, document.replicas.looked_at)],
        "gates": view_gates.gate_table(document),
        "segments": view_gates.segments(document),
        "over_time": view_gates.over_time(document),
        "likeness": view.likeness(document),
        "units": view.units(document),
        "conflict": view.conflict(document),
        "affinity": view.affinity(document),
        "importance": view.importance(document),
        "embeddings": view.embeddings(document),
        "noise": view.noise(document),
        "thresholds": thresholds,
        "replicas": document.replicas.looked_at,
    }
    return printable(environment().get_template("report/inspection/inspection.html.j2").render(parts, palette=PALETTE))


def html_alarms(document: Inspection) -> str:
    """Render the summary and the alarms as a fragment of HTML, for a notebook; settings have their Python names."""
    source = (
        "<div><p><strong>{{ headline }}</strong></p>{% if alarms %}<ul>{% for alarm in alarms %}"
        "<li><strong>{{ alarm.title }}</strong> ({{ alarm.severity }}). {{ alarm.message }} {{ alarm.advice | arguments }}</li>"
        "{% endfor %}</ul>{% endif %}</div>"
    )
    html = environment().from_string(source).render(headline=summary(document), alarms=document.alarms)
    return printable(html)
