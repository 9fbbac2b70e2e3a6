"""This module draws the charts of the report as SVG elements: forest plots, planes of two tasks, curves, reliability, frontiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from manygate.metrics.pareto import non_dominated
from manygate.report.svg import DASHES, MARKERS, Canvas, colour, label, mark
from manygate.text import finite, interval, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VERDICT_STYLES = {"helps": ("helps", "^"), "hurts": ("hurts", "v"), "likely helps": ("helps", "^"), "likely hurts": ("hurts", "v")}


class Gain(NamedTuple):
    """A row of a forest plot."""

    name: str
    gain: float | None
    ci95: Sequence[float] | None
    verdict: str


class Point(NamedTuple):
    """An epoch of a curve: the mean over replicas and its 95 % interval, if there is one."""

    epoch: float
    mean: float
    ci95: Sequence[float] | None = None


class Curve(NamedTuple):
    """An architecture's line; ``style`` is its index in the palette, ``best`` the epoch with the weights that were kept."""

    name: str
    style: int
    points: Sequence[Point]
    best: float | None = None


class Reliability(NamedTuple):
    """An architecture's calibration: pairs of mean predicted and observed rate."""

    name: str
    style: int
    points: Sequence[tuple[float, float]]


class Cost(NamedTuple):
    """An architecture in the frontier chart: FLOPs of a row's forward pass, mean of a metric, its interval if there is one."""

    name: str
    style: int
    flops: float
    mean: float
    ci95: Sequence[float] | None = None


class Spot(NamedTuple):
    """An architecture's point in a plane of two tasks: its gains in both, with their intervals."""

    name: str
    style: int
    across: Gain
    up: Gain


def span(rows: Sequence[Gain]) -> tuple[float, float]:
    """Return a range with a small margin that contains all gains, all intervals and zero."""
    bounds = [0.0]
    for row in rows:
        bounds += [value for value in (row.gain, *(row.ci95 or ())) if finite(value) and value is not None]
    low, high = min(bounds), max(bounds)
    air = 0.08 * (high - low) or 0.01
    return low - air, high + air


def forest(key: str, task: str, metric: str, baseline: str, rows: Sequence[Gain], limits: tuple[float, float]) -> str:
    """Draw gains with 95 % intervals, an architecture in each row, around a line at zero."""
    names = [label(row.name) for row in rows]
    left = min(172, 18 + 6.8 * max(map(len, names)))
    with Canvas(height=52 + 27 * len(rows), left=left, right=58, bottom=40) as canvas:
        axes = canvas.axes
        axes.set(xlim=limits, ylim=(len(rows) - 0.4, -0.6))
        axes.set_yticks(range(len(rows)), names, color=colour("ink"))
        axes.axvline(0, color=colour("zero"), linewidth=1.2)
        axes.grid(axis="x")
        _ticks(axes.xaxis, signed=True, most=5)
        for at, row in enumerate(rows):
            _gain(axes, at, row, limits[1])
        _directions(axes, limits, below=-30 / (27 * len(rows) + 2))
        description = "; ".join(f"{row.name}: {number(row.gain, signed=True)}, {interval(row.ci95)}, {row.verdict}" for row in rows)
        return canvas.svg(key, f"Gain in {metric} of {task} over {baseline}", f"Gain with 95 % interval. {description}.")


def plane(key: str, tasks: tuple[str, str], metrics: tuple[str, str], spots: Sequence[Spot]) -> str:
    """Draw gains in two tasks, with 95 % intervals as crosses; the corners where one task gains and the other loses are shaded."""
    with Canvas(height=300, left=64, right=16, top=22, bottom=52) as canvas:
        axes = canvas.axes
        across, up = span([spot.across for spot in spots]), span([spot.up for spot in spots])
        axes.set(xlim=across, ylim=up)
        for x, y in ((across[0], up[1]), (across[1], up[0])):
            axes.fill_between([0, x], 0, y, color=colour("hurts"), alpha=0.07, linewidth=0)
        axes.axhline(0, color=colour("zero"), linewidth=1.2)
        axes.axvline(0, color=colour("zero"), linewidth=1.2)
        for spot in spots:
            _cross(axes, spot)
        for axis, task, metric in zip((axes.xaxis, axes.yaxis), tasks, metrics, strict=True):
            _ticks(axis, signed=True, most=4)
            axis.label.set(text=f"{label(task, 18)}, gain in {metric}", fontsize=10.5)
        description = "; ".join(
            f"{spot.name}: {number(spot.across.gain, signed=True)} and {number(spot.up.gain, signed=True)}" for spot in spots
        )
        return canvas.svg(key, f"Gains in {tasks[0]} and {tasks[1]}", f"{tasks[0]} across and {tasks[1]} up. {description}.")


def _cross(axes: Axes, spot: Spot) -> None:
    x, y = spot.across.gain or 0.0, spot.up.gain or 0.0
    for bounds, draw, at in ((spot.across.ci95, axes.hlines, y), (spot.up.ci95, axes.vlines, x)):
        if bounds:
            draw(at, bounds[0], bounds[1], color=_paint(spot.style), linewidth=1.5, alpha=0.75)
    axes.plot([x], [y], **{**_marker(spot.style), "markersize": 7})


def _directions(axes: Axes, limits: tuple[float, float], below: float) -> None:
    """Write "hurts" and "helps" under the two ends of the axis."""
    where = axes.get_xaxis_transform()
    low, high = limits
    for side, edge, text, align in ((low < 0, low, "◂ hurts", "left"), (high > 0, high, "helps ▸", "right")):
        if side:
            axes.text(edge, below, text, transform=where, ha=align, va="center", color=colour("soft"), fontsize=10)


def _gain(axes: Axes, at: int, row: Gain, edge: float) -> None:
    name, marker = VERDICT_STYLES.get(row.verdict, ("unsure", "o"))
    paint = colour(name)
    if not finite(row.gain):
        axes.annotate("undefined", (edge, at), xytext=(6, 0), textcoords="offset points", va="center", color=paint, fontsize=10)
        return
    bounds = [bound for bound in row.ci95 or () if finite(bound)]
    if len(bounds) == 2:
        axes.plot(bounds, [at, at], color=paint, linewidth=2.2, solid_capstyle="round")
    face = paint if row.verdict in ("helps", "hurts") else colour("card")
    axes.plot([row.gain], [at], marker=marker, markersize=7.5, color=paint, markerfacecolor=face, markeredgewidth=1.8)
    text = number(row.gain, signed=True)
    axes.annotate(text, (edge, at), xytext=(6, 0), textcoords="offset points", va="center", color=paint, annotation_clip=False)


def curves(key: str, title: str, lines: Sequence[Curve]) -> str:
    """Draw means over replicas by epoch, each with the band of its 95 % interval."""
    with Canvas(height=230) as canvas:
        axes = canvas.axes
        axes.grid(axis="y")
        for line in lines:
            epochs = [point.epoch for point in line.points]
            means = [point.mean for point in line.points]
            bounds = [point.ci95 or (point.mean, point.mean) for point in line.points]
            if any(point.ci95 for point in line.points):
                lower, upper = zip(*bounds, strict=True)
                axes.fill_between(epochs, lower, upper, color=_paint(line.style), alpha=0.16, linewidth=0)
            _draw_line(axes, epochs, means, line.style, markers=len(epochs) == 1)
            kept = [(point.epoch, point.mean) for point in line.points if point.epoch == line.best]
            for epoch, mean in kept:
                axes.plot([epoch], [mean], **_marker(line.style), markersize=7)
        _epochs(axes, [point.epoch for line in lines for point in line.points])
        _ticks(axes.yaxis, signed=False, most=6)
        axes.set_xlabel("epoch", labelpad=4, fontsize=10.5)
        ends = "; ".join(f"{line.name}: {number(line.points[0].mean)} to {number(line.points[-1].mean)}" for line in lines)
        return canvas.svg(key, title, f"Mean over replicas, first epoch to last drawn. {ends}.")


def reliability(key: str, title: str, lines: Sequence[Reliability]) -> str:
    """Draw the observed against the predicted rate; a perfectly calibrated model lies on the diagonal."""
    with Canvas(height=320, left=58, bottom=44) as canvas:
        axes = canvas.axes
        top = 1.06 * max((value for line in lines for point in line.points for value in point), default=1.0) or 1.0
        axes.plot([0, top], [0, top], color=colour("zero"), linewidth=1, dashes=(4, 3))
        for line in lines:
            across, up = zip(*line.points, strict=True)
            _draw_line(axes, across, up, line.style, markers=True)
        axes.set(xlim=(0, top), ylim=(0, top))
        axes.grid()
        for axis in (axes.xaxis, axes.yaxis):
            _ticks(axis, signed=False, most=6, percent=True)
        axes.set_xlabel("predicted", labelpad=4, fontsize=10.5)
        axes.set_ylabel("observed", labelpad=6, fontsize=10.5)
        names = ", ".join(line.name for line in lines)
        return canvas.svg(key, title, f"Observed rate by predicted rate for {names}; the numbers are in the table below.")


def undominated(points: Sequence[Cost]) -> list[str]:
    """List the architectures that no other dominates, the cheapest first.

    An architecture dominates another if it is better and not more expensive, or cheaper and not worse.

    >>> undominated([Cost("a", 0, 10, 0.7), Cost("b", 1, 20, 0.6), Cost("c", 2, 30, 0.8)])
    ['a', 'c']
    """
    point_PT = np.array([(-point.flops, point.mean) for point in points])
    _, first = np.unique(point_PT, axis=0, return_index=True)  # of equal points the first alone
    on = non_dominated(point_PT)
    return [points[p].name for p in sorted(first.tolist(), key=lambda p: points[p].flops) if on[p]]


def frontier(key: str, title: str, metric: str, points: Sequence[Cost]) -> str:
    """Draw a metric with its 95 % interval against cost; the line joins the architectures that no other dominates."""
    on = undominated(points)
    names = [label(point.name) for point in points]
    with Canvas(height=max(250, 40 + 17 * len(points)), left=58, right=26 + 6.4 * max(map(len, names)), bottom=44) as canvas:
        axes = canvas.axes
        axes.grid()
        for point in points:
            if point.ci95:
                axes.vlines(point.flops, point.ci95[0], point.ci95[1], color=_paint(point.style), linewidth=1.2, zorder=2)
            face = {} if point.name not in on else {"markerfacecolor": _paint(point.style)}
            axes.plot([point.flops], [point.mean], **{**_marker(point.style), "markersize": 7, **face})
        line = sorted((point for point in points if point.name in on), key=lambda point: point.flops)
        axes.step([p.flops for p in line], [p.mean for p in line], where="post", color=colour("zero"), linewidth=1.2, dashes=(4, 3))
        low, high = min(p.flops for p in points), max(p.flops for p in points)
        if high > 4 * low:
            axes.set_xscale("log")
        else:
            axes.set_xlim(low - 0.08 * (high - low or low), high + 0.08 * (high - low or low))
        axes.margins(y=0.12)
        _flops_ticks(axes)
        _ticks(axes.yaxis, signed=False, most=6)
        axes.set_xlabel("FLOPs of a row's forward pass", labelpad=4, fontsize=10.5)
        axes.set_ylabel(metric, labelpad=6, fontsize=10.5)
        _names_at_the_right(axes, points, on)
        description = "; ".join(f"{p.name}: {p.flops:,.0f} FLOPs, {number(p.mean)}" for p in points)
        return canvas.svg(key, title, f"{description}. Beaten by none in both: {', '.join(on)}.")


def _names_at_the_right(axes: Axes, points: Sequence[Cost], on: Sequence[str]) -> None:
    """Write the names beside the chart, in the order of their points' heights and without overlap, with lines to their points."""
    low, high = axes.get_ylim()
    pixels = axes.get_window_extent().height
    gap = 15 / pixels
    ranked = sorted(points, key=lambda point: point.mean)
    heights: list[float] = []
    for point in ranked:
        height = (point.mean - low) / (high - low)
        heights.append(max(height, heights[-1] + gap) if heights else height)
    over = max(heights[-1] - 1.0, 0.0)
    for rank, point in zip(reversed(range(len(ranked))), reversed(ranked), strict=True):
        room = 1.0 - gap * (len(ranked) - 1 - rank) if over else heights[rank]
        height = min(heights[rank], room)
        axes.annotate(
            label(point.name),
            (point.flops, point.mean),
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            fontsize=10.5,
            color=_paint(point.style),
            fontweight="bold" if point.name in on else "normal",
            arrowprops={"arrowstyle": "-", "color": colour("line"), "linewidth": 0.8, "shrinkA": 2, "shrinkB": 5},
            annotation_clip=False,
        )


def _flops_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.xaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5)) if axes.get_xscale() == "log" else MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10])
    )
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: flops(value)))


def flops(value: float) -> str:
    """Format FLOPs with a unit.

    >>> flops(29824), flops(1.2e6), flops(950)
    ('29.8 k', '1.2 M', '950')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def _paint(style: int) -> str:
    return colour(f"a{style % 8}")


def _marker(style: int) -> dict[str, Any]:
    return {
        "marker": MARKERS[mark(style)],
        "color": _paint(style),
        "markerfacecolor": colour("card"),
        "markeredgewidth": 1.8,
        "linestyle": "none",
        "zorder": 3,
    }


def _draw_line(axes: Axes, across: Sequence[float], up: Sequence[float], style: int, markers: bool) -> None:
    (line,) = axes.plot(across, up, color=_paint(style), linewidth=1.9)
    if DASHES[mark(style)]:
        line.set_dashes(DASHES[mark(style)])
    if markers:
        axes.plot(across, up, **{**_marker(style), "markersize": 4, "markerfacecolor": _paint(style), "markeredgewidth": 0})


def _epochs(axes: Axes, epochs: Sequence[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = min(epochs), max(epochs)
    air = 0.03 * (high - low) or 0.5
    axes.set_xlim(low - air, high + air)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _ticks(axis: Any, signed: bool, most: int, percent: bool = False) -> None:
    """Set round ticks, all with the same number of decimals; call it after the data are drawn."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]))
    scale = 100 if percent else 1
    places = [f"{scale * value:.9f}".rstrip("0").partition(".")[2] for value in axis.get_majorticklocs()]
    decimals = max(map(len, places), default=0)

    def text(value: float, _: int | None) -> str:
        shown = format(round(scale * value, 9) + 0.0, f"{'+' if signed and value else ''}.{decimals}f")
        return shown.replace("-", "−") + (" %" if percent else "")

    axis.set_major_formatter(FuncFormatter(text))
