"""This module draws the charts of a search: history, parallel coordinates, importance, front."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from manygate.config.ranges import Range
from manygate.report.svg import Canvas, colour, label
from manygate.report.tuning.words import axis_label, objective_words, score, setting_value
from manygate.results.tuning import TunedObjective, TunedTrial, TuningDocument
from manygate.text import listed

BEST_SHARE = 0.1
"""The share of the trials that the parallel coordinates bring out."""
RIBBON = 38
"""The height of a row of the parallel coordinates, in pixels."""


def history(document: TuningDocument) -> str:
    """Draw the value of each trial by its number, with the best value so far."""
    (objective,) = document.objectives
    complete = [trial for trial in document.trials if trial.state == "complete"]
    pruned = [trial for trial in document.trials if trial.state == "pruned"]
    failed = [trial.number for trial in document.trials if trial.state == "failed"]
    chosen = next(trial for trial in document.trials if trial.number == document.chosen.number)
    best = list(itertools.accumulate((_shown(objective, trial) for trial in complete), min if _falls(objective) else max))
    with Canvas(height=290, left=64, right=16, bottom=46) as canvas:
        axes = canvas.axes
        axes.grid(axis="y")
        axes.plot([trial.number for trial in complete], best, color=colour("a3"), linewidth=1.9, drawstyle="steps-post")
        for trials, face in ((complete, colour("soft")), (pruned, colour("card"))):
            numbers, values = [trial.number for trial in trials], [_shown(objective, trial) for trial in trials]
            axes.plot(numbers, values, "o", color=colour("soft"), markerfacecolor=face, markersize=4.2)
        low = axes.get_ylim()[0]
        axes.plot(failed, [low] * len(failed), "x", color=colour("hurts"), markersize=5.5, clip_on=False)
        axes.plot([chosen.number], [_shown(objective, chosen)], marker="*", markersize=14, color=colour("hurts"), linestyle="none")
        _whole_ticks(axes.xaxis)
        axes.set_xlabel("trial", labelpad=4, fontsize=10.5)
        axes.set_ylabel(label(axis_label(objective), 34), labelpad=6, fontsize=10.5)
        end = score(objective, max(trial.values[0] for trial in complete))
        description = f"Best {end}; trial {chosen.number} is chosen; {len(pruned)} ended early; {len(failed)} failed."
        return canvas.svg("history", f"{objective_words(objective)} by trial", description)


def _shown(objective: TunedObjective, trial: TunedTrial) -> float:
    return trial.values[0] if objective.better == "higher" else -trial.values[0]


def _falls(objective: TunedObjective) -> bool:
    return objective.better != "higher"


def parallel(document: TuningDocument, names: Sequence[str]) -> str:
    """Draw each trial as a line through its settings: a row for each setting, its smallest value at the left."""
    complete = [trial for trial in document.trials if trial.state == "complete"]
    rows = {name: _Row(name, document, complete) for name in names}
    ranked = sorted(complete, key=lambda trial: -trial.values[0])
    best = {trial.number for trial in ranked[: max(math.ceil(BEST_SHARE * len(ranked)), 1)]}
    down = range(len(rows))
    with Canvas(height=40 + RIBBON * len(rows), left=116, right=18, top=14, bottom=18) as canvas:
        axes = canvas.axes
        axes.set(xlim=(-0.02, 1.02), ylim=(len(rows) - 0.55, -0.3))
        for trial in sorted(complete, key=lambda trial: (trial.number == document.chosen.number, trial.number in best)):
            across = [row.place(trial.settings[name]) for name, row in rows.items()]
            axes.plot(across, down, **_line(trial, best, document.chosen.number))
        for at, row in enumerate(rows.values()):
            axes.hlines(at, 0, 1, color=colour("line"), linewidth=1, zorder=0)
            for x, text, align in ((0, row.low, "left"), (1, row.high, "right")):
                behind = {"facecolor": colour("card"), "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
                axes.text(x, at + 0.32, text, ha=align, va="center", fontsize=8.5, color=colour("soft"), bbox=behind, zorder=5)
        axes.set_yticks(down, [label(name, 18) for name in rows])
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        description = "; ".join(f"{name}: {setting_value(document.chosen.settings[name])}" for name in names)
        return canvas.svg("parallel", "The settings of each trial", f"The chosen trial has {description}.")


def _line(trial: TunedTrial, best: set[int], chosen: int) -> dict[str, Any]:
    if trial.number == chosen:
        return {"color": colour("hurts"), "linewidth": 2.4, "marker": "o", "markersize": 4.5, "zorder": 4}
    if trial.number in best:
        return {"color": colour("a3"), "linewidth": 1.5, "marker": "o", "markersize": 3, "zorder": 3}
    return {"color": colour("zero"), "linewidth": 0.7, "alpha": 0.5, "zorder": 2}


class _Row:
    """A setting as a row from 0 to 1: numbers by their size, also on a logarithmic scale, other values in their order."""

    def __init__(self, name: str, document: TuningDocument, trials: Sequence[TunedTrial]):
        space = document.tuning["space"]
        assert isinstance(space, dict)
        values = Range.model_validate(space[name])
        self.is_log, self.options = values.is_log, list[str]()
        self.ends = (0.0, 1.0)
        known = [_number(trial.settings[name]) for trial in trials]
        numbers = [value for value in known if value is not None]
        if values.is_span and len(numbers) == len(known):
            self.ends = min(values.ends[0], *numbers), max(values.ends[1], *numbers)
            self.low, self.high = (setting_value(value) for value in self.ends)
        else:
            self.options = [setting_value(value) for value in values.values]
            self.options += sorted({setting_value(trial.settings[name]) for trial in trials} - set(self.options))
            self.low, self.high = (label(text, 22) for text in (self.options[0], self.options[-1]))

    def place(self, value: JsonValue) -> float:
        """Return where a value lies."""
        if self.options:
            return self.options.index(setting_value(value)) / max(len(self.options) - 1, 1)
        number, (low, high) = _number(value), self.ends
        assert number is not None
        if self.is_log:
            number, low, high = (math.log(part) for part in (number, low, high))
        return (number - low) / (high - low)


def _number(value: JsonValue) -> float | None:
    """Return a number, also where it is the only one of a list."""
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def importance(shares: Mapping[str, float]) -> str:
    """Draw the importance of each setting as a bar."""
    names = list(shares)
    with Canvas(height=34 + 25 * len(names), left=116, right=52, top=6, bottom=8) as canvas:
        axes = canvas.axes
        axes.barh(range(len(names)), list(shares.values()), height=0.6, color=colour("a3"))
        axes.set(ylim=(len(names) - 0.4, -0.6), xlim=(0, max(shares.values()) or 1))
        axes.set_yticks(range(len(names)), [label(name, 18) for name in names], color=colour("ink"))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        for at, share in enumerate(shares.values()):
            axes.annotate(f"{share:.0%}", (share, at), (5, 0), textcoords="offset points", va="center", fontsize=10)
        description = listed([f"{name} {share:.0%}" for name, share in shares.items()])
        return canvas.svg("importance", "The importance of each setting", f"{description}.")


def front(document: TuningDocument, across: int, up: int) -> str:
    """Draw all complete trials by two objectives, and a line through those that no other beats."""
    pair = document.objectives[across], document.objectives[up]
    complete = [trial for trial in document.trials if trial.state == "complete"]
    ahead = sorted((trial for trial in complete if trial.front), key=lambda trial: trial.values[across])
    chosen = next(trial for trial in complete if trial.number == document.chosen.number)

    def points(trials: Sequence[TunedTrial]) -> tuple[list[float], ...]:
        signs = [(at, 1 if document.objectives[at].better == "higher" else -1) for at in (across, up)]
        return tuple([sign * trial.values[at] for trial in trials] for at, sign in signs)

    with Canvas(height=310, left=66, right=18, bottom=48) as canvas:
        axes = canvas.axes
        axes.grid()
        axes.plot(*points(complete), "o", color=colour("zero"), markersize=4, alpha=0.7)
        axes.plot(*points(ahead), color=colour("a3"), linewidth=1.6, marker="o", markersize=5)
        axes.plot(*points([chosen]), marker="*", markersize=15, color=colour("hurts"), linestyle="none")
        for trial, x, y in zip(ahead, *points(ahead), strict=True):
            axes.annotate(str(trial.number), (x, y), (5, 5), textcoords="offset points", fontsize=9, color=colour("a3"))
        axes.margins(0.09)
        axes.set_xlabel(label(axis_label(pair[0]), 40), labelpad=4, fontsize=10.5)
        axes.set_ylabel(label(axis_label(pair[1]), 34), labelpad=6, fontsize=10.5)
        numbers = listed([str(trial.number) for trial in ahead])
        return canvas.svg(
            f"front-{across}-{up}",
            f"{objective_words(pair[1])} against {objective_words(pair[0])}",
            f"{len(ahead)} of {len(complete)} trials are beaten by none: {numbers}. Trial {chosen.number} is chosen.",
        )


def _whole_ticks(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=8, integer=True))
