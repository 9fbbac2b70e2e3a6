"""This module renders ``fusion-search.json`` as a self-contained HTML page: the trade-off, the chosen point, each task alone."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from markupsafe import Markup

from manygate.files import write_text
from manygate.metrics.pareto import non_dominated
from manygate.report.page import page
from manygate.report.svg import MARKERS, Canvas, colour, label, mark
from manygate.results.fusion import FusionSearch

SHOWN = 60
"""The number of points of the front that the page lists; fusion-search.json lists all."""


def write_search_page(result: FusionSearch, path: Path) -> None:
    """Render to a file; if writing fails, the old file stays unchanged."""
    write_text(path, render_search(result))


def render_search(result: FusionSearch) -> str:
    """Render the page; the same result gives the same text."""
    names = [entry.objective for entry in result.objectives]
    columns = [*result.factors, *(f"{entry.transform}({entry.feature})" for entry in result.features)]
    pairs = list(itertools.combinations(range(len(names)), 2))
    drawn = [surface(result, across, up) for across, up in pairs] or [progress(result)]
    front = sorted((trial for trial in result.trials if trial.front), key=lambda trial: -trial.total)
    parts = {
        "result": result,
        "names": names,
        "columns": columns,
        "charts": [Markup(chart) for chart in drawn],
        "styles": {name: style for style, name in enumerate(result.factors)},
        "chosen": result.trials[result.chosen],
        "front": front[:SHOWN],
        "size": len(front),
    }
    return page("report/fusion.html.j2", parts)


def surface(result: FusionSearch, across: int, up: int) -> str:
    """Draw all trials by two of the objectives.

    A line joins the trials on the front. The chosen trial and the values of each prediction alone are marked.
    """
    names = [entry.objective for entry in result.objectives]
    chosen = result.trials[result.chosen].values
    with Canvas(height=300, left=64, bottom=46) as canvas:
        axes = canvas.axes
        axes.grid()
        values = [trial.values for trial in result.trials]
        axes.scatter([v[across] for v in values], [v[up] for v in values], s=9, color=colour("zero"), alpha=0.55, linewidths=0)
        point_PT = np.array([(v[across], v[up]) for v in values])
        front = np.unique(point_PT[non_dominated(point_PT)], axis=0).tolist()
        axes.plot(*zip(*front, strict=True), color=colour("a3"), linewidth=1.6, marker="o", markersize=3.2)
        for style, (name, values_alone) in enumerate(result.alone.items()):
            paint = colour(f"a{style % 8}")
            axes.plot(
                [values_alone[across]], [values_alone[up]], marker=MARKERS[mark(style)], markersize=8, color=paint, linestyle="none"
            )
            axes.annotate(
                label(name),
                (values_alone[across], values_alone[up]),
                (6, -12),
                textcoords="offset points",
                color=paint,
                fontsize=10,
            )
        axes.plot([chosen[across]], [chosen[up]], marker="*", markersize=15, color=colour("hurts"), linestyle="none")
        axes.margins(0.09)
        axes.set_xlabel(label(names[across], 40), labelpad=4, fontsize=10.5)
        axes.set_ylabel(label(names[up], 40), labelpad=6, fontsize=10.5)
        alone = "; ".join(
            f"{name} alone {values_alone[across]:.4g}, {values_alone[up]:.4g}" for name, values_alone in result.alone.items()
        )
        description = f"Chosen {chosen[across]:.4g}, {chosen[up]:.4g}; {alone}; {len(front)} of {len(values)} trials on the front."
        return canvas.svg(f"surface-{across}-{up}", f"{names[up]} against {names[across]}", description)


def progress(result: FusionSearch) -> str:
    """Draw the only objective by trial, with the best value so far, and a line at the value of each prediction alone."""
    (name,) = [entry.objective for entry in result.objectives]
    values = [trial.values[0] for trial in result.trials]
    best = list(itertools.accumulate(values, max))
    with Canvas(height=280, left=64, right=90, bottom=46) as canvas:
        axes = canvas.axes
        axes.grid(axis="y")
        axes.scatter(range(1, len(values) + 1), values, s=9, color=colour("zero"), alpha=0.55, linewidths=0)
        axes.plot(range(1, len(values) + 1), best, color=colour("a3"), linewidth=1.9, drawstyle="steps-post")
        for style, (factor, values_alone) in enumerate(result.alone.items()):
            axes.axhline(values_alone[0], color=colour(f"a{style % 8}"), linewidth=1.1, linestyle=(0, (4, 2)))
            where = axes.get_yaxis_transform()
            axes.text(
                1.02, values_alone[0], label(factor, 12), transform=where, va="center", color=colour(f"a{style % 8}"), fontsize=10
            )
        axes.plot([result.chosen + 1], [values[result.chosen]], marker="*", markersize=15, color=colour("hurts"))
        axes.set_xlabel("trial", labelpad=4, fontsize=10.5)
        axes.set_ylabel(label(name, 40), labelpad=6, fontsize=10.5)
        description = "; ".join(f"{factor} alone {values_alone[0]:.4g}" for factor, values_alone in result.alone.items())
        return canvas.svg("progress", f"{name} by trial", f"Best {max(values):.4g}; {description}.")
