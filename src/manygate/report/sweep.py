"""This module prepares the section on fixed weights: the sweep's points, their front, and each weighting against the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from manygate import text
from manygate.metrics.table import metric_label
from manygate.report import words
from manygate.report.svg import MARKERS, Canvas, colour, label, mark
from manygate.report.view import View, styles
from manygate.results.comparison import ComparisonDocument, SweepMethod, SweepPoint

WORDS = {"dominated": ("hurts", "▼"), "beyond the sweep": ("helps", "▲"), "cannot tell": ("unsure", "○")}


class Outcome(NamedTuple):
    """The metrics of a run or of a weight vector, one for each task.

    ``style`` is a run's index in the palette, and None for a vector.
    """

    name: str
    style: int | None
    values: tuple[float | None, ...]
    on_front: bool = False


def sweeps(document: ComparisonDocument) -> list[View]:
    """Prepare, for each architecture with a sweep: a chart on test rows, a row for each method, and the vectors."""
    sections = []
    for number, (architecture, sweep) in enumerate((document.sweep or {}).items()):
        tasks = list(sweep.reference)
        paints = styles(document)
        outcomes = [
            Outcome(f"vector {p + 1}", None, tuple(point.test[task] for task in tasks), point.on_front)
            for p, point in enumerate(sweep.points)
        ]
        for name, method in sweep.methods.items():
            outcomes.append(Outcome(name, paints.get(name, 0), tuple(method.test[task] for task in tasks)))
        known = [outcome for outcome in outcomes if all(map(text.finite, outcome.values))]
        labels = [f"{task}, {metric_label(words.main_metric(document, task))}" for task in tasks]
        chart = _chart(f"sweep-{number}", architecture, labels, known) if known else ""
        sections.append(
            {
                "architecture": architecture,
                "tasks": [f"{task} {metric_label(words.main_metric(document, task))}" for task in tasks],
                "chart": Markup(chart),
                "replicas": sweep.replicas,
                "volume": text.number(sweep.hypervolume["test"]),
                "reference": text.listed([f"{value:g} for {task}" for task, value in sweep.reference.items()]),
                "methods": [
                    _method(name, paints.get(name, 0), method, tasks, sweep.hypervolume["test"])
                    for name, method in sweep.methods.items()
                ],
                "points": [_point(p, point, tasks) for p, point in enumerate(sweep.points)],
            }
        )
    return sections


def _method(name: str, style: int, method: SweepMethod, tasks: Sequence[str], volume: float) -> View:
    added = method.hypervolume_added
    kind, symbol = WORDS.get(method.verdict, ("unsure", "○"))
    return {
        "name": name,
        "style": style,
        "values": [text.number(method.test[task]) for task in tasks],
        "added": text.UNDEFINED if added is None or not volume else f"{100 * added / volume:+.2f} %",
        "class": kind,
        "symbol": symbol,
        "word": method.verdict,
    }


def _point(p: int, point: SweepPoint, tasks: Sequence[str]) -> View:
    return {
        "number": p + 1,
        "weights": " : ".join(f"{point.weights[task]:.3g}" for task in tasks),
        "valid": [text.number(point.valid[task]) for task in tasks],
        "test": [text.number(point.test[task]) for task in tasks],
        "on_front": point.on_front,
    }


def _chart(key: str, architecture: str, labels: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    description = "; ".join(f"{outcome.name}: {', '.join(text.number(value) for value in outcome.values)}" for outcome in outcomes)
    with Canvas(height=300 if len(labels) == 2 else 260, left=62, right=20, bottom=48) as canvas:
        (_scatter if len(labels) == 2 else _parallel)(canvas.axes, labels, outcomes)
        title = f"Test metrics of {architecture} by the tasks' weights"
        return canvas.svg(key, title, f"{text.listed([label(text) for text in labels])}. {description}.")


def _scatter(axes: Any, labels: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    front = sorted(outcome.values for outcome in outcomes if outcome.on_front)
    axes.grid()
    axes.plot(*zip(*front, strict=True), color=colour("zero"), linewidth=1.2, dashes=(4, 3)) if front else None
    for outcome in outcomes:
        axes.plot(*([value] for value in outcome.values), **_look(outcome))
    axes.margins(0.1)
    axes.set_xlabel(label(labels[0]), labelpad=4, fontsize=10.5)
    axes.set_ylabel(label(labels[1]), labelpad=6, fontsize=10.5)
    _few_ticks(axes.xaxis)
    _few_ticks(axes.yaxis)


def _parallel(axes: Any, labels: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    """Draw a line for each point; each task's axis goes from the worst of all points to the best."""
    columns = list(zip(*(outcome.values for outcome in outcomes), strict=True))
    low, high = [min(column) for column in columns], [max(column) for column in columns]
    across = range(len(labels))
    for outcome in outcomes:
        up = [(value - a) / (b - a) if b > a else 0.5 for value, a, b in zip(outcome.values, low, high, strict=True)]
        look = _look(outcome)
        width = 1.8 if outcome.style is not None else 1.2 if outcome.on_front else 0.7
        axes.plot(across, up, **{**look, "linestyle": "-", "linewidth": width})
    axes.set_xticks(across, [f"{label(text, 14)}\n{a:.4g} to {b:.4g}" for text, a, b in zip(labels, low, high, strict=True)])
    axes.tick_params(axis="x", labelsize=9)
    axes.set_yticks([0, 1], ["worst", "best"])
    axes.grid(axis="x")


def _look(outcome: Outcome) -> dict[str, object]:
    paint = colour("soft" if outcome.on_front else "zero") if outcome.style is None else colour(f"a{outcome.style % 8}")
    return {
        "color": paint,
        "marker": "o" if outcome.style is None else MARKERS[mark(outcome.style)],
        "markersize": 4.5 if outcome.style is None else 8,
        "markerfacecolor": paint if outcome.on_front or outcome.style is not None else colour("card"),
        "linestyle": "none",
        "zorder": 2 if outcome.style is None else 3,
    }


def _few_ticks(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(ScalarFormatter(useOffset=False))
