"""Draws the runs of every method beside the paper's mean, as SVG in the report's style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from manygate.report.svg import Canvas, colour, label
from manygate.text import number

SPAN = 0.04
"""The axis covers at most so much below the highest value. What lies further left is an arrow at the edge."""


class Runs(NamedTuple):
    """The test AUC of a method's runs, their mean, and the mean and the best of the paper."""

    name: str
    values: Sequence[float]
    mean: float
    paper_mean: float | None
    paper_best: float | None


def runs(key: str, title: str, methods: Sequence[Runs]) -> str:
    """Draw a row for each method: a dot for each run, a line at the mean, and hollow marks for the paper's mean and best run."""
    with Canvas(height=54 + 27 * len(methods), left=172, right=14, bottom=46) as canvas:
        axes = canvas.axes
        low, high = _ends(methods)
        axes.grid(axis="x")
        axes.set_xlim(low, high)
        axes.set_ylim(len(methods) - 0.4, -0.6)
        axes.set_yticks(range(len(methods)), [label(entry.name, 26) for entry in methods], color=colour("ink"), fontsize=10)
        for row, entry in enumerate(methods):
            shown = [value for value in entry.values if value >= low]
            axes.plot(shown, [row] * len(shown), "o", color=colour("a3"), markersize=4.5, alpha=0.35, markeredgewidth=0)
            for value, shape, size in ((entry.paper_mean, "D", 6.5), (entry.paper_best, "^", 6.5)):
                if value is not None and value >= low:
                    axes.plot([value], [row], shape, color=colour("hurts"), markersize=size, fillstyle="none", markeredgewidth=1.4)
            if entry.mean >= low:
                axes.plot([entry.mean] * 2, [row - 0.32, row + 0.32], color=colour("a3"), linewidth=2)
            if min([entry.mean, *(value for value in (entry.paper_mean,) if value is not None)]) < low:
                axes.annotate("◂", (low, row), fontsize=9, color=colour("soft"), va="center", annotation_clip=False)
        axes.set_xlabel("test AUC", labelpad=4, fontsize=10.5)
        axes.locator_params(axis="x", nbins=5)
        return canvas.svg(key, title, "; ".join(_described(entry) for entry in methods))


def _ends(methods: Sequence[Runs]) -> tuple[float, float]:
    every = [value for entry in methods for value in (*entry.values, entry.paper_mean, entry.paper_best) if value is not None]
    high = max(every)
    low = min(value for value in every if value >= high - SPAN)
    room = 0.05 * max(high - low, 1e-4)
    return low - room, high + room


def _described(entry: Runs) -> str:
    theirs = "" if entry.paper_mean is None else f", in the paper {number(entry.paper_mean)}"
    return f"{entry.name}: mean {number(entry.mean)}{theirs}"
