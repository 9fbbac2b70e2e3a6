"""This module prepares the tables of the page of a search, as the template prints them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from markupsafe import Markup
from pydantic import JsonValue

from manygate import text
from manygate.metrics.table import metric_label
from manygate.report.charts import Gain, forest, span
from manygate.report.tuning import charts, words
from manygate.report.words import CLASSES
from manygate.results.summary import MetricSummary
from manygate.results.tuning import TunedTrial, TuningDocument

View = dict[str, object]
"""The values that a template prints, by name."""
VERDICTS = {1: "helps", -1: "hurts", 0: "cannot tell"}
SYMBOLS = {1: "▲", -1: "▼", 0: "○"}
ENDED = {"complete": "completed", "pruned": "ended early", "failed": "failed"}
MOST_ROWS = 40
"""The number of settings that the parallel coordinates draw."""


def facts(document: TuningDocument) -> list[str]:
    """List the log, the numbers of rows, tasks, trials and replicas, and what proposed the trials, as short phrases."""
    rows = document.data.rows
    found = [document.data.log] if document.data.log else []
    found += [text.count_of(sum(rows.values()), "row"), text.count_of(len(document.data.tasks), "task")]
    found += [f"{text.count_of(len(document.trials), 'trial')} of {text.count_of(_replicas(document), 'replica')}"]
    return [*found, f"sampler {document.tuning['sampler']}, seed {document.config['seed']}"]


def _replicas(document: TuningDocument) -> int:
    replicas = document.config["replicas"]
    assert isinstance(replicas, int)
    return replicas


def gains(document: TuningDocument) -> View | None:
    """Prepare what each task gains over the default settings. None if the defaults were chosen."""
    found = document.final.gains
    if found is None:
        return None
    results = document.final.results
    rows = []
    for task, gain in found.items():
        side = words.side(gain)
        scores = [_plus_minus(results[name].tasks[task].metrics.get(gain.metric)) for name in ("default", "tuned")]
        rows.append(
            {
                "task": task,
                "metric": metric_label(gain.metric),
                "default": scores[0],
                "tuned": scores[1],
                "class": CLASSES[side],
                "symbol": SYMBOLS[side],
                "word": VERDICTS[side],
                "gain": text.number(gain.gain, signed=True),
                "joint": text.interval(gain.joint95),
                "alone": text.interval(gain.ci95),
            }
        )
    bars = [Gain(task, gain.gain, gain.joint95, VERDICTS[words.side(gain)]) for task, gain in found.items()]
    chart = forest("gains", "each task", "the main metric", "the default settings", bars, span(bars))
    return {"rows": rows, "chart": Markup(chart), "note": document.final.interval_note}


def _plus_minus(summary: MetricSummary | None) -> str:
    return text.plus_minus(summary.mean, summary.ci95) if summary else text.UNDEFINED


def settings(document: TuningDocument) -> list[View]:
    """Prepare the searched settings: the tuned value, the default, the range and the importance."""
    space = document.tuning["space"]
    assert isinstance(space, dict)
    importance = document.importance or {}
    return [
        {
            "name": name,
            "tuned": words.setting_value(document.chosen.settings[name]) if name in document.chosen.settings else "default",
            "default": words.setting_value(document.defaults.get(name)),
            "range": _range(values),
            "importance": text.share(importance[name]) if name in importance else "–",
        }
        for name, values in space.items()
    ]


def _range(tree: JsonValue) -> str:
    """Return a range in words.

    >>> _range({"log": [0.0001, 0.01]}), _range({"ordered": [[8], [16, 8]]})
    ('0.0001 to 0.01, logarithmic', '8; 16, 8')
    """
    assert isinstance(tree, dict)
    ((kind, values),) = tree.items()
    assert isinstance(values, list)
    if kind in ("ordered", "choice"):
        return "; ".join(words.setting_value(value) for value in values)
    return " to ".join(words.setting_value(value) for value in values) + (", logarithmic" if kind.startswith("log") else "")


def validation(document: TuningDocument) -> list[str]:
    """Return sentences on the scores of the chosen trial: those that chose it, and those with fresh seeds.

    The best of many noisy scores is too good on average, so the first is no estimate.
    """
    objective, trial = document.objectives[0], _trial(document, document.chosen.number)
    shown = words.scores(document.objectives, trial.values)
    named = text.listed([words.objective_words(entry) for entry in document.objectives])
    lines = [f"Trial {trial.number} is chosen: {document.chosen.rule}. Its {named} on validation rows: {shown}."]
    watched = document.config["monitor"]
    if objective.name == watched and "tuned" in document.final.valid:
        fresh = [_score_of(document, name) for name in ("tuned", "default")]
        lines.append(
            f"With fresh seeds the tuned settings have {fresh[0]} there and the default ones {fresh[1]}. The score that chose a "
            "trial is the best of many, and so too good on average."
        )
    return lines


def _score_of(document: TuningDocument, name: str) -> str:
    summary = document.final.valid[name]
    return text.UNDEFINED if summary.mean is None else words.score(document.objectives[0], summary.mean)


def _trial(document: TuningDocument, number: int) -> TunedTrial:
    return next(trial for trial in document.trials if trial.number == number)


def drawn(document: TuningDocument) -> View:
    """Draw the charts: the history of one objective, or the front of several; the settings; their importance."""
    names = list(document.importance or ())
    names += [name for name in document.defaults if name not in names]
    pairs = list(itertools.combinations(range(len(document.objectives)), 2))
    complete = sum(trial.state == "complete" for trial in document.trials)
    return {
        "history": Markup(charts.history(document)) if len(document.objectives) == 1 else None,
        "fronts": [Markup(charts.front(document, *pair)) for pair in pairs],
        "parallel": Markup(charts.parallel(document, names[:MOST_ROWS])) if complete > 1 else None,
        "importance": Markup(charts.importance(document.importance)) if document.importance else None,
    }


def trials(document: TuningDocument) -> View:
    """Prepare the table of all trials: those that ended well by their first objective, the best first, then the others."""
    order = {"complete": 0, "pruned": 1, "failed": 2}
    ranked = sorted(document.trials, key=lambda trial: (order[trial.state], *(-value for value in trial.values[:1]), trial.number))
    names = list(document.defaults)
    return {
        "objectives": [words.axis_label(objective) for objective in document.objectives],
        "names": names,
        "rows": [_row(document, trial, names) for trial in ranked],
        "counts": text.listed(_counts(document.trials)),
        "several": len(document.objectives) > 1,
    }


def _counts(found: Sequence[TunedTrial]) -> list[str]:
    counts = {state: sum(trial.state == state for trial in found) for state in ENDED}
    return [f"{count} {ENDED[state]}" for state, count in counts.items() if count]


def _row(document: TuningDocument, trial: TunedTrial, names: Sequence[str]) -> View:
    cells = []
    for at, objective in enumerate(document.objectives):
        noise = trial.noise[at] if at < len(trial.noise) else None
        cells.append(
            {
                "value": words.score(objective, trial.values[at]) if trial.values else "–",
                "noise": None if noise is None else words.half(objective, noise**0.5),
            }
        )
    return {
        "number": trial.number,
        "chosen": trial.number == document.chosen.number,
        "front": trial.front and len(document.objectives) > 1,
        "state": ENDED[trial.state],
        "reason": trial.reason,
        "diverged": trial.diverged,
        "cells": cells,
        "settings": [words.setting_value(trial.settings[name]) for name in names],
        "epochs": "–" if trial.epochs is None else f"{trial.epochs:g}",
        "seconds": text.duration(trial.seconds),
    }


def tasks(document: TuningDocument) -> View | None:
    """Prepare the main metric of each task on validation rows, for the default and the chosen trial."""
    pair = {"default settings": _trial(document, 0), "chosen trial": _trial(document, document.chosen.number)}
    if not all(trial.tasks for trial in pair.values()) or document.chosen.number == 0:
        return None
    names = list(pair["chosen trial"].tasks)
    rows = [[text.number(trial.tasks[name].mean) for name in names] for trial in pair.values()]
    heads = [f"{name} {metric_label(pair['chosen trial'].tasks[name].metric)}" for name in names]
    return {"heads": heads, "rows": list(zip(pair, rows, strict=True))}


def reproduce(document: TuningDocument) -> View:
    """Prepare the command, the versions, and the settings of the search."""
    searched = {name: value for name, value in document.tuning.items() if name != "space"}
    return {
        "command": document.command,
        "versions": [
            ("manygate", document.manygate_version),
            ("torch", document.torch_version),
            ("optuna", document.optuna_version),
        ],
        "searched": [(name, words.setting_value(value) if value != [] else "default") for name, value in searched.items()],
        "final": f"{document.final.replicas} replicas with the seeds {document.final.seed} to "
        f"{document.final.seed + document.final.replicas - 1}",
        "seconds": text.duration(document.seconds),
        "repeated": document.repeated,
    }
