"""This module renders ``results.json`` of a study as a self-contained HTML page; each study has a template and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from manygate.config.names import ARCHITECTURES
from manygate.files import write_text
from manygate.metrics.uncertainty import interval
from manygate.report.svg import PALETTE
from manygate.report.templates import environment
from manygate.report.view import STYLES, View
from manygate.results.base import required
from manygate.results.study import Cell, StudyResults, SweepResult
from manygate.studies import charts
from manygate.studies.claims import FAR
from manygate.studies.mmoe_claims import ALIKE, LARGER, SMALLER
from manygate.studies.plan import LADDER
from manygate.studies.ple_claims import ABOUT
from manygate.studies.sentences import at_edges, five_sentences, headline, still_falling, verdict_words
from manygate.studies.sweep import FALLING

WORD_OF = {True: "yes", False: "no", None: "undecided"}
UNFINISHED = {
    f"{FALLING:.0%}": "a setting is “unfinished” if a mean loss fell by more than this share over the last sixth of the steps",
    f"{FAR:g}": "a setting is also “unfinished” if a mean loss is more than this many times that at the chosen rates",
}
MMOE_CHOICES = {
    f"{1 - ALIKE:g} to {1 + ALIKE:g}": "means whose ratio lies within are nearly the same; otherwise they clearly differ",
    f"{SMALLER:g}": "a gap of at most this share of another is far smaller",
    f"{LARGER:g}": "a standard deviation that is this many times another is far larger; within the factor they are about the same",
    **UNFINISHED,
}
PLE_CHOICES = {f"{ABOUT:.0%}": "a ratio is about another if it differs from it by at most this share", **UNFINISHED}


def write_page(results: StudyResults, path: Path) -> None:
    """Render to a file; if writing fails, the old file stays unchanged."""
    write_text(path, render(results))


def render(results: StudyResults) -> str:
    """Render the page; the same results give the same text."""
    pages = environment().overlay()
    pages.filters = {**pages.filters, "number": _number, "verdict_words": verdict_words}
    compared = results.sweeps["compared"]
    parts: View = {
        "results": results,
        "word_of": WORD_OF,
        "headline": headline([claim.verdict for claim in results.claims]),
        "sentences": five_sentences(results)[1:],
        "models": [(sweep.name, _style(sweep.architecture)) for sweep in compared],
        "falling": still_falling(results),
        "edges": at_edges(results),
        "ladder": LADDER,
        "protocol": results.plan.protocol,
        "pilots": results.plan.pilots["compared"][0],
    }
    template = f"studies/{results.plan.study.replace('-', '_')}.html.j2"
    return pages.get_template(template).render(parts | _FIGURES[results.plan.study](results), palette=PALETTE)


def _mmoe_figures(results: StudyResults) -> View:
    return {
        "figure_2": Markup(charts.pearson("figure-2", results.figure_2)),
        "figure_3": _figure_3(results),
        "figure_4": _figure_4(results),
        "figure_5": _figure_5(results),
        "beyond": _beyond(results),
        "many": _many(results),
        "choices": MMOE_CHOICES,
    }


def _ple_figures(results: StudyResults) -> View:
    return {"gains": _gains(results), "curves": _figure_4(results), "choices": PLE_CHOICES}


_FIGURES: dict[str, Callable[[StudyResults], View]] = {"mmoe-synthetic": _mmoe_figures, "ple-synthetic": _ple_figures}


def _style(architecture: str) -> int:
    """Return a scheme's index in the palette; well-known schemes have the same index in all reports."""
    if architecture in STYLES:
        return STYLES[architecture]
    return len(STYLES) + [name for name in ARCHITECTURES if name not in STYLES].index(architecture)


def _chosen(sweep: SweepResult, correlation: float) -> Cell:
    """Return the long runs of a correlation."""
    (cell,) = [entry for entry in sweep.cells if entry.correlation == correlation]
    return cell


def _correlations(sweep: SweepResult) -> list[float]:
    return [cell.correlation for cell in sweep.cells]


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


def _gains(results: StudyResults) -> View:
    """Prepare the gain of each model over single-task models, by correlation: the difference of losses of runs of one seed."""
    single, *others = results.sweeps["compared"]
    lines, rows = [], []
    for sweep in others:
        points = [(p, *_gain(_chosen(single, p), _chosen(sweep, p))) for p in _correlations(sweep)]
        known = [(p, mean, ci95) for p, mean, ci95 in points if mean is not None]
        across, up, bounds = zip(*known, strict=True) if known else ((), (), ())
        lines.append(charts.Whiskers(sweep.name, _style(sweep.architecture), across, up, bounds))
        rows.append((sweep.name, [(mean, ci95) for _, mean, ci95 in points]))
    chart = charts.gains("gains", "Gain over single-task models by correlation", lines)
    legend = [(line.name, line.style) for line in lines]
    return {"chart": Markup(chart), "legend": legend, "rows": rows, "correlations": _correlations(single)}


def _gain(single: Cell, other: Cell) -> tuple[float | None, tuple[float, float] | None]:
    """Return the mean gain over the runs of which neither diverged, and its 95 % interval."""
    pairs = zip(single.loss, other.loss, strict=True)
    statistics = interval([one - two for one, two in pairs if one is not None and two is not None])
    return statistics.mean, statistics.ci95


def _number(value: float | None, digits: int = 3) -> str:
    """Format a number with so many digits for the page, as a plain decimal; a dash if it is missing."""
    if value is None:
        return "–"
    exponent_free = np.format_float_positional(float(f"{value:.{digits}g}"), trim="-")
    return exponent_free.replace("-", "−")
