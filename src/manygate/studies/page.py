"""This module renders ``results.json`` of the MMoE study as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from manygate.config.names import ARCHITECTURES
from manygate.files import write_text
from manygate.report.svg import PALETTE
from manygate.report.templates import environment
from manygate.report.view import STYLES, View
from manygate.results.base import required
from manygate.results.study import Cell, StudyResults, SweepResult
from manygate.studies import charts
from manygate.studies.claims import FALLING, FAR
from manygate.studies.mmoe_claims import ALIKE, LARGER, SMALLER
from manygate.text import listed

WORD_OF = {True: "yes", False: "no", None: "undecided"}
CHOICES = {
    f"{1 - ALIKE:g} to {1 + ALIKE:g}": "means whose ratio lies within are nearly the same; otherwise they clearly differ",
    f"{SMALLER:g}": "a gap of at most this share of another is far smaller",
    f"{LARGER:g}": "a standard deviation that is this many times another is far larger; within the factor they are about the same",
    f"{FALLING:.0%}": "a setting is “unfinished” if a mean loss fell by more than this share over the last sixth of the steps",
    f"{FAR:g}": "a setting is also “unfinished” if a mean loss is more than this many times that at the chosen rates",
}


def write_page(results: StudyResults, path: Path) -> None:
    """Render to a file; if writing fails, the old file stays unchanged."""
    write_text(path, render(results))


def render(results: StudyResults) -> str:
    """Render the page; the same results give the same text."""
    pages = environment().overlay()
    pages.filters = {**pages.filters, "number": _number}
    parts = {
        "results": results,
        "word_of": WORD_OF,
        "headline": headline(results),
        "figure_2": Markup(charts.pearson("figure-2", results.figure_2)),
        "figure_3": _figure_3(results),
        "figure_4": _figure_4(results),
        "figure_5": _figure_5(results),
        "beyond": _beyond(results),
        "many": _many(results),
        "models": [(sweep.name, _style(sweep.architecture)) for sweep in results.sweeps["compared"]],
        "choices": CHOICES,
        "edge": _edge(results),
        "protocol": results.plan.protocol,
    }
    return pages.get_template("studies/mmoe_synthetic.html.j2").render(parts, palette=PALETTE)


def headline(results: StudyResults) -> str:
    """Write a sentence with the number of claims for each verdict."""
    verdicts = [claim.verdict for claim in results.claims]
    phrases = [_counted(verdicts.count(verdict), verdict) for verdict in dict.fromkeys(["reproduced", *verdicts])]
    return f"Of {len(verdicts)} claims of the paper, {listed(phrases)}"


def _counted(count: int, verdict: str) -> str:
    if verdict == "depends on the learning rate":
        return f"{count} {'depends' if count == 1 else 'depend'} on the learning rate"
    return f"{count} {'is' if count == 1 else 'are'} {'undecided' if verdict == 'cannot tell' else verdict}"


def _style(architecture: str) -> int:
    """Return a scheme's index in the palette; well-known schemes have the same index in all reports."""
    if architecture in STYLES:
        return STYLES[architecture]
    return len(STYLES) + [name for name in ARCHITECTURES if name not in STYLES].index(architecture)


def _cell(sweep: SweepResult, correlation: float, rate: float) -> Cell:
    (cell,) = [entry for entry in sweep.cells if (entry.correlation, entry.rate) == (correlation, rate)]
    return cell


def _chosen(sweep: SweepResult, correlation: float) -> Cell:
    return _cell(sweep, correlation, sweep.chosen_rate[f"{correlation:g}"])


def _edge(results: StudyResults) -> float | None:
    """Return the end of the grid of learning rates that all three models chose at every correlation; None if there is none."""
    compared = results.sweeps["compared"]
    rates = [cell.rate for cell in compared[0].cells]
    chosen = {rate for sweep in compared for rate in sweep.chosen_rate.values()}
    return next((edge for edge in (min(rates), max(rates)) if chosen == {edge}), None)


def _correlations(sweep: SweepResult) -> list[float]:
    return list(dict.fromkeys(cell.correlation for cell in sweep.cells))


def _figure_3(results: StudyResults) -> View:
    (sweep,) = results.sweeps["figure 3"]
    lines = [charts.Line(f"{cell.correlation:g}", style, sweep.steps, cell.curve) for style, cell in enumerate(sweep.cells)]
    chart = charts.curves("figure-3", "Training loss of Shared-Bottom 16 by step, at each correlation", lines)
    return {
        "chart": Markup(chart),
        "legend": [(line.name, line.style) for line in lines],
        "cells": sweep.cells,
        "runs": sweep.runs,
    }


def _figure_4(results: StudyResults) -> list[View]:
    compared = results.sweeps["compared"]
    panels: list[View] = []
    for number, p in enumerate(_correlations(compared[0])):
        lines = [charts.Line(sweep.name, _style(sweep.architecture), sweep.steps, _chosen(sweep, p).curve) for sweep in compared]
        chart = charts.curves(f"figure-4-{number}", f"Training loss by step at correlation {p:g}", lines)
        panels.append({"correlation": p, "chart": Markup(chart), "rows": [(sweep.name, _chosen(sweep, p)) for sweep in compared]})
    return panels


def _figure_5(results: StudyResults) -> list[View]:
    compared = results.sweeps["compared"]

    def losses(sweep: SweepResult, p: float) -> list[float]:
        return [value for value in _chosen(sweep, p).loss if value is not None]

    correlations = _correlations(compared[0])
    everything = [value for sweep in compared for p in correlations for value in losses(sweep, p)]
    edges = charts.edges(everything)
    panels: list[View] = []
    for number, p in enumerate(correlations):
        groups = [(sweep.name, _style(sweep.architecture), losses(sweep, p)) for sweep in compared]
        chart = charts.histogram(f"figure-5-{number}", f"Final losses of the runs at correlation {p:g}", groups, edges)
        panels.append({"correlation": p, "chart": Markup(chart)})
    return panels


def _spots(key: str, title: str, sweeps: Sequence[SweepResult], p: float) -> Markup:
    points = []
    for sweep in sweeps:
        cell = _chosen(sweep, p)
        if cell.mean is None:
            continue
        low, high = cell.ci95 or (cell.mean, cell.mean)
        quarter, median, three_quarters = (required(value, "quartiles") for value in cell.quartiles[1:4])
        spread = (quarter, median, three_quarters)
        points.append(charts.Spot(sweep.architecture, _style(sweep.architecture), cell.mean, low, high, *spread))
    return Markup(charts.spots(key, title, sorted(points, key=lambda point: point.mean)))


def _beyond(results: StudyResults) -> View:
    """Prepare the paper's three schemes and the others, each at its chosen learning rate."""
    sweeps = [*results.sweeps["compared"], *results.sweeps["beyond"]]
    panels = [
        {"correlation": p, "chart": _spots(f"beyond-{number}", f"Final loss of every scheme at correlation {p:g}", sweeps, p)}
        for number, p in enumerate(_correlations(sweeps[0]))
    ]
    rows = [(sweep, [_chosen(sweep, p) for p in _correlations(sweeps[0])]) for sweep in sweeps]
    return {"panels": panels, "rows": rows, "correlations": _correlations(sweeps[0])}


def _many(results: StudyResults) -> View:
    sweeps = results.sweeps["many tasks"]
    correlations = _correlations(sweeps[0])
    panels = [
        {
            "correlation": p,
            "chart": _spots(f"many-{number}", f"Final loss with {sweeps[0].tasks} tasks at correlation {p:g}", sweeps, p),
        }
        for number, p in enumerate(correlations)
    ]
    return {"panels": panels, "tasks": sweeps[0].tasks, "runs": sweeps[0].runs}


def _number(value: float | None, digits: int = 3) -> str:
    """Format a number with so many digits for the page, as a plain decimal; a dash if it is missing."""
    if value is None:
        return "–"
    exponent_free = np.format_float_positional(float(f"{value:.{digits}g}"), trim="-")
    return exponent_free.replace("-", "−")
