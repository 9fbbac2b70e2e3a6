"""This module renders a comparison (or one training run) as a self-contained HTML page, and as short forms for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manygate.evaluation.monitor import EXPLANATION
from manygate.files import write_text
from manygate.report import panels, seesaw, shipping, view
from manygate.report.by_day import by_day
from manygate.report.cold_start import cold_start
from manygate.report.outside import outside
from manygate.report.svg import PALETTE
from manygate.report.sweep import sweeps
from manygate.report.templates import environment
from manygate.report.tuned import tuned
from manygate.report.words import chosen, headline, judged
from manygate.results.comparison import ComparisonDocument

__all__ = ["headline", "html_summary", "render", "write_report"]


def render(document: ComparisonDocument) -> str:
    """Render the report as an HTML page that needs no network, no script and no font.

    ``document`` is the content of ``comparison.json``. The same document gives the same text.
    """
    parts = {
        "headline": headline(document),
        "compared": bool(judged(document)),
        "chosen": chosen(document),
        "interval_note": document.interval_note,
        "reason": document.best.reason if document.best else None,
        "explanation": EXPLANATION if document.best and document.best.monitor == "mean" else None,
        "facts": view.facts(document),
        "legend": view.legend(document),
        "warnings": view.warning_groups(document.data.warnings),
        "verdict": view.verdict_table(document),
        "advice": seesaw.advice(document),
        "marks": seesaw.marks(document),
        "seesaw": seesaw.seesaw(document),
        "shipping": shipping.shipping(document),
        "numbers": view.verdict_numbers(document),
        "scores": view.score_table(document),
        "forests": panels.forests(document),
        "costs": view.costs(document),
        "frontier": panels.frontier(document),
        "sweeps": sweeps(document),
        "tuned": tuned(document),
        "results": view.results(document),
        "cold": cold_start(document),
        "days": by_day(document),
        "outside": outside(document),
        "meanings": view.meanings(document),
        "learning": panels.learning(document),
        "gates": panels.gates(document),
        "inspected": view.inspected(document),
        "calibration": panels.calibration(document),
        "data": view.data(document),
        "reproduce": view.reproduce(document),
        "story": document.story,
    }
    return page("report/report.html.j2", parts)


def page(template: str, parts: Mapping[str, Any]) -> str:
    """Render a whole page from a template of the package, in the reports' colours."""
    return printable(environment().get_template(template).render(parts, palette=PALETTE))


def write_report(document: ComparisonDocument, path: str | Path) -> None:
    """Render to a file; if writing fails, the old file stays unchanged."""
    write_text(Path(path), render(document))


def html_summary(document: ComparisonDocument) -> str:
    """Render the headline and the verdict table as a fragment of HTML, for a notebook."""
    template = environment().get_template("report/summary.html.j2")
    return printable(
        template.render(
            headline=headline(document),
            warnings=view.warning_groups(document.data.warnings),
            advice=seesaw.advice(document),
            outside=outside(document),
            verdict=view.verdict_table(document),
            scores=view.score_table(document),
        )
    )


def printable(text: str) -> str:
    """Replace characters that a UTF-8 file or an HTML page cannot contain (half a surrogate pair, control characters)."""
    unfit = {code: "�" for code in [*range(0x20), 0x7F] if chr(code) not in "\t\n\r\f"}
    return text.translate(unfit).encode("utf-8", "replace").decode("utf-8")
