"""This module draws the figures of a study's page as SVG elements in the report's style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from manygate.report.svg import DASHES, MARKERS, Canvas, colour, mark
from manygate.results.study import LabelCorrelation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 28
ROOM = 1.06


class Line(NamedTuple):
    """A curve and its index in the palette."""

    name: str
    style: int
    across: Sequence[float]
    up: Sequence[float | None]


class Spot(NamedTuple):
    """A mean with its interval, and the middle half of the values."""

    name: str
    style: int
    mean: float
    low: float
    high: float
    quarter: float
    median: float
    three_quarters: float


class Whiskers(NamedTuple):
    """Means at places across, each with its interval if it has one, and an index in the palette."""

    name: str
    style: int
    across: Sequence[float]
    up: Sequence[float]
    bounds: Sequence[tuple[float, float] | None]


def pearson(key: str, points: Sequence[LabelCorrelation]) -> str:
    """Draw figure 2: the simulated correlation with two standard deviations, and the closed form as a line."""
    with Canvas(height=260, left=58, bottom=46) as canvas:
        axes = canvas.axes
        axes.grid()
        across = [point.cosine for point in points]
        axes.plot(across, [point.exact for point in points], color=colour("a3"), linewidth=1.9)
        axes.errorbar(
            across,
            [point.mean for point in points],
            yerr=[2 * point.sd for point in points],
            fmt="o",
            markersize=4,
            color=colour("ink"),
            linewidth=1.1,
        )
        axes.set_xlabel("cosine of the tasks' vectors", labelpad=4, fontsize=10.5)
        axes.set_ylabel("correlation of the labels", labelpad=6, fontsize=10.5)
        description = "; ".join(f"{point.cosine:g}: {point.mean:.4f}, exactly {point.exact:.4f}" for point in points)
        return canvas.svg(key, "Label correlation by cosine of the vectors", description)


def curves(key: str, title: str, lines: Sequence[Line], top: float | None = None) -> str:
    """Draw the mean training loss by step, on a logarithmic scale."""
    with Canvas(height=260, left=58, bottom=46) as canvas:
        axes = canvas.axes
        axes.grid(axis="y")
        for line in lines:
            kept = [(x, y) for x, y in zip(line.across, line.up, strict=True) if y is not None]
            if not kept:  # every run diverged
                continue
            (drawn,) = axes.plot(*zip(*kept, strict=True), color=colour(f"a{line.style % 8}"), linewidth=1.9)
            if DASHES[mark(line.style)]:
                drawn.set_dashes(DASHES[mark(line.style)])
        axes.set_yscale("log")
        if top is not None:
            axes.set_ylim(top=top)
        _plain_ticks(axes, "y")
        axes.set_xlabel("steps", labelpad=4, fontsize=10.5)
        axes.set_ylabel("mean squared error", labelpad=6, fontsize=10.5)
        description = "; ".join(
            f"{line.name}: {line.up[0]:.3g} to {line.up[-1]:.3g}" for line in lines if line.up[0] and line.up[-1]
        )
        return canvas.svg(key, title, f"First to last. {description}.")


def gains(key: str, title: str, lines: Sequence[Whiskers]) -> str:
    """Draw the mean gain of each model by correlation, with its interval, around a line at zero."""
    with Canvas(height=300, left=58, bottom=46) as canvas:
        axes = canvas.axes
        axes.grid(axis="y")
        axes.axhline(0, color=colour("zero"), linewidth=1)
        for line in lines:
            paint = colour(f"a{line.style % 8}")
            axes.plot(line.across, line.up, color=paint, linewidth=1.4, marker=MARKERS[mark(line.style)], markersize=5)
            for x, ends in zip(line.across, line.bounds, strict=True):
                if ends is not None:
                    axes.plot([x, x], ends, color=paint, linewidth=1.4)
        axes.set_xlabel("cosine of the tasks' vectors", labelpad=4, fontsize=10.5)
        axes.set_ylabel("gain over single-task", labelpad=6, fontsize=10.5)
        description = "; ".join(f"{line.name}: {line.up[0]:.3g} to {line.up[-1]:.3g}" for line in lines if line.up)
        return canvas.svg(key, title, f"First to last. {description}.")


def histogram(key: str, title: str, groups: Sequence[tuple[str, int, Sequence[float]]], edges: Sequence[float]) -> str:
    """Draw figure 5: a histogram of the final losses of the runs, with an outline for each model."""
    import numpy as np

    with Canvas(height=230, left=46, bottom=46) as canvas:
        axes = canvas.axes
        axes.grid(axis="y")
        for _, style, values in groups:
            count, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=list(edges))
            axes.stairs(count, edges, color=colour(f"a{style % 8}"), linewidth=1.8, fill=False)
            axes.stairs(count, edges, color=colour(f"a{style % 8}"), alpha=0.14, fill=True)
        axes.set_xscale("log")
        axes.set_xlim(edges[0], edges[-1])
        _plain_ticks(axes, "x")
        axes.set_xlabel("final loss", labelpad=4, fontsize=10.5)
        axes.set_ylabel("runs", labelpad=6, fontsize=10.5)
        description = "; ".join(f"{name}: {min(values):.3g} to {max(values):.3g}" for name, _, values in groups if len(values))
        return canvas.svg(key, title, description)


def edges(values: Sequence[float]) -> list[float]:
    """Return the edges of the bins, the same for all panels of a figure and evenly spaced on a logarithmic scale.

    >>> [round(edge, 3) for edge in edges([0.1, 10.0])][::14]
    [0.094, 1.0, 10.6]
    """
    low, high = math.log(min(values) / ROOM), math.log(max(values) * ROOM)
    return [math.exp(low + (high - low) * i / BINS) for i in range(BINS + 1)]


def spots(key: str, title: str, points: Sequence[Spot]) -> str:
    """Draw the mean with its interval (dark) and the middle half of the runs (pale), with a row for each scheme."""
    left = min(150, 18 + 6.8 * max(len(point.name) for point in points))
    with Canvas(height=46 + 27 * len(points), left=left, right=22, bottom=44) as canvas:
        axes = canvas.axes
        axes.grid(axis="x")
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.set_yticks(range(len(points)), [point.name for point in points], color=colour("ink"))
        for row, point in enumerate(points):
            paint = colour(f"a{point.style % 8}")
            axes.plot(
                [point.quarter, point.three_quarters], [row, row], color=paint, linewidth=9, alpha=0.22, solid_capstyle="butt"
            )
            axes.plot([point.median], [row], marker="|", markersize=9, color=paint, markeredgewidth=1.6)
            axes.plot([point.low, point.high], [row, row], color=paint, linewidth=1.8)
            axes.plot([point.mean], [row], marker=MARKERS[mark(point.style)], markersize=6, color=paint)
        axes.set_xscale("log")
        _plain_ticks(axes, "x")
        axes.set_xlabel("final loss", labelpad=4, fontsize=10.5)
        description = "; ".join(f"{point.name}: mean {point.mean:.4g}, median {point.median:.4g}" for point in points)
        return canvas.svg(key, title, description)


def _plain_ticks(axes: Axes, which: str) -> None:
    """Set a few round ticks on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis, (low, high) = (axes.xaxis, axes.get_xlim()) if which == "x" else (axes.yaxis, axes.get_ylim())
    decades = math.log10(high / low)
    subs = (1, 1.5, 2, 3, 4, 6, 8) if decades < 0.8 else (1, 2, 5) if decades < 2 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axis.set_tick_params(which="minor", length=0)
