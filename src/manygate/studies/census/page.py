"""Renders ``results.json`` of the census study as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from manygate.files import write_text
from manygate.report.svg import PALETTE
from manygate.report.templates import environment
from manygate.report.tuning.words import setting_value
from manygate.report.view import View
from manygate.results.census import CensusGain, CensusGroup, CensusModel, CensusResults, CensusTask
from manygate.studies.census import charts, paper
from manygate.studies.census.conclusions import headline
from manygate.studies.census.plan import MARRIED
from manygate.text import count_of, duration, interval, listed, number, plus_minus

SIDES = {1: ("helps", "ahead"), -1: ("hurts", "behind"), 0: ("unsure", "cannot tell")}


def write_page(results: CensusResults, path: Path) -> None:
    """Render to a file; if writing fails, the old file stays unchanged."""
    write_text(path, render(results))


def render(results: CensusResults) -> str:
    """Render the page; the same results give the same text."""
    parts: View = {
        "results": results,
        "headline": headline(results),
        "facts": facts(results),
        "groups": [{"name": name, **_group(results, group)} for name, group in results.groups.items()],
        "models": [_model(name, model) for name, model in results.models.items()],
        "married": MARRIED,
        "paper_runs": paper.RUNS,
    }
    return environment().get_template("studies/census/mmoe_census.html.j2").render(parts, palette=PALETTE)


def facts(results: CensusResults) -> list[str]:
    """Return short facts about the study for the head of the page."""
    rows = results.rows
    told = [
        f"{rows['train']:,} training, {rows['valid']:,} validation and {rows['test']:,} test rows",
        f"{results.plan['trials']} trials a search",
        f"{count_of(results.replicas, 'run')} of each winner",
        f"{duration(results.seconds)} of training",
    ]
    if results.estimated_seconds is not None:
        told.append(f"estimated for the networks: {duration(results.estimated_seconds)}")
    return told


def _group(results: CensusResults, group: CensusGroup) -> View:
    return {
        "main": group.main,
        "table": group.table,
        "reference": group.reference,
        "conclusions": group.conclusions,
        "rows": [_row(results, group, place) for place in range(len(group.rows))],
        "chart": Markup(_chart(results, group)),
        "gains": [_gain(gain) for gain in group.gains],
        "noise": [
            {
                "method": noise.method,
                "cells": [_number(v) for v in (noise.sd, noise.se_test, noise.lift, noise.lift_paper, noise.paper_sd)],
            }
            for noise in group.noise
        ],
    }


def _row(results: CensusResults, group: CensusGroup, place: int) -> View:
    """Return the cells of a method: the paper's four numbers, and ours with interval, ensemble and the run of validation."""
    row = group.rows[place]
    main, married = results.models[row.main_model].tasks[group.main], results.models[row.married_model].tasks[MARRIED]
    theirs = row.paper
    return {
        "method": row.method,
        "paper": ["–"] * 4
        if theirs is None
        else [f"{value:.4f}" for value in (theirs.best, theirs.mean, theirs.married_best, theirs.married_mean)],
        "best": (number(row.best.main), number(row.best.married)),
        "chosen": (number(row.chosen.main), number(row.chosen.married)),
        "mean": (_mean(main), _mean(married)),
        "sd": (_number(main.test.sd), _number(married.test.sd)),
        "ensemble": (_number(main.ensemble), _number(married.ensemble)),
    }


def _mean(task: CensusTask) -> str:
    return plus_minus(task.test.mean, task.test.ci95)


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)


def _gain(gain: CensusGain) -> View:
    bounds = gain.gain.joint95
    kind, word = SIDES[0 if bounds is None else (bounds[0] > 0) - (bounds[1] < 0)]
    theirs = "–" if gain.paper_gain is None else number(gain.paper_gain, signed=True)
    return {
        "method": gain.method,
        "task": gain.task,
        "class": kind,
        "word": word,
        "gain": number(gain.gain.gain, signed=True),
        "joint": interval(bounds),
        "alone": interval(gain.gain.ci95),
        "sd": _number(gain.gain.sd_replicas),
        "se": _number(gain.gain.se_test),
        "halves": ["–", "–"] if gain.halves is None else [number(value) for value in gain.halves.values()],
        "paper": theirs,
        "paper_half": _number(gain.paper_half),
    }


def _chart(results: CensusResults, group: CensusGroup) -> str:
    methods = []
    for row in group.rows:
        test = results.models[row.main_model].tasks[group.main].test
        values = [value for value in test.values if value is not None]
        if test.mean is not None:
            theirs = (None, None) if row.paper is None else (row.paper.mean, row.paper.best)
            methods.append(charts.Runs(row.method, values, test.mean, *theirs))
    return charts.runs(f"runs-{group.main}", f"Test AUC of {group.main}, all runs", methods)


def _model(name: str, model: CensusModel) -> View:
    """Return what was chosen for a model, and how long it took."""
    search = model.search
    settings = [f"{key} {setting_value(value)}" for key, value in model.settings.items()]
    return {
        "name": name,
        "tasks": listed(list(model.tasks)),
        "settings": "; ".join(settings),
        "parameters": "–" if model.parameters is None else f"{model.parameters:,}",
        "search": "–" if search is None else duration(search.seconds),
        "final": duration(model.seconds),
        "trial": "–" if search is None else str(search.chosen),
        "tuned": "–" if search is None else _tuned(search.values, search.chosen),
        "epochs": _epochs(model.epochs),
        "diverged": model.diverged,
    }


def _tuned(values: Sequence[float | None], chosen: int) -> str:
    """Return the validation AUC of the default settings and of the best trial."""
    return f"{_number(values[0])} to {_number(values[chosen])}"


def _epochs(epochs: Sequence[float]) -> str:
    if not epochs:
        return "–"
    return f"{min(epochs):g}" if min(epochs) == max(epochs) else f"{min(epochs):g} to {max(epochs):g}"
