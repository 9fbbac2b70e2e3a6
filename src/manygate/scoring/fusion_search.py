"""Searches for weights of a fusion that rank the visits of a log well. Optuna proposes weights, and ranking metrics measure them.

The search is over weights of predictions from 0 to 1 and of features from -1 to 1. Multiplying all weights by one positive number
does not change the order of the rows, so the results are scaled to a largest weight of 1. Each objective is divided by its value
for ranking by its task alone. So objectives in different units can be added, and 1 means "as good as that task alone".

Shapes: N rows, F factors (predictions, then features), P trials, M objectives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from manygate.errors import InputError, did_you_mean, raise_all, setting
from manygate.metrics.pareto import hypervolume, non_dominated
from manygate.metrics.ranking import Ranked, Visits
from manygate.results.fusion import FusionRanking, FusionSearch, RankedObjective, SearchFeature, SearchObjective, Trial
from manygate.scoring.fusion import Fusion, Term, log_factor, parse_feature, unknown_predictions, unknown_transform
from manygate.text import count_of

Floats: TypeAlias = NDArray[np.float64]
Sampler: TypeAlias = Literal["tpe", "gp"]
METRICS = ("ndcg", "ndcg@K", "gain", "gain@K", "gauc")
MOST_OBJECTIVES = 4
INSTALL = "searching for weights needs Optuna. Install it with: pip install 'manygate[tune]'"
_OBJECTIVE = re.compile(r"(?P<task>.+)/(?P<metric>[a-z]+)(@(?P<k>[0-9]+))?$")


@dataclass(frozen=True)
class Objective:
    """A ranking metric of a task, and its weight among the objectives."""

    task: str
    metric: str
    k: int | None = None
    weight: float = 1.0

    def __str__(self) -> str:
        return f"{self.task}/{self.metric}" + (f"@{self.k}" if self.k is not None else "")


@dataclass(frozen=True)
class Plan:
    """The settings of a search: objectives, factors and budget. :func:`plan_search` makes a checked plan."""

    objectives: tuple[Objective, ...]
    factors: tuple[str, ...]
    terms: tuple[tuple[str, str], ...] = ()
    trials: int = 200
    sampler: Sampler = "tpe"
    seed: int = 0

    @property
    def features(self) -> list[str]:
        """The features that the search needs."""
        return [feature for feature, _ in self.terms]


def plan_search(
    objectives: Iterable[str],
    kinds: Mapping[str, str],
    columns: Sequence[str],
    factors: Sequence[str] = (),
    features: Iterable[str] = (),
    trials: int = 200,
    sampler: Sampler = "tpe",
    seed: int = 0,
) -> Plan:
    """Build a plan from the form of the command line. One error lists all problems. Without Optuna it gives the install command.

    Args:
        objectives: ``TASK/METRIC`` or ``TASK/METRIC=WEIGHT``, with a metric of :data:`METRICS`.
        kinds: The tasks and their kinds.
        columns: The names of all predictions.
        factors: The predictions in the formula. By default these are all tasks.
        features: More factors, ``NAME:TRANSFORM``.
        trials: The number of weight vectors to try.
        sampler: ``tpe``, or ``gp``, which is slower and needs fewer trials.
        seed: The same seed gives the same result.

    >>> plan_search(["watch/gain@5=0.5"], {"click": "binary", "watch": "regression"}, ["click", "watch"]).objectives
    (Objective(task='watch', metric='gain', k=5, weight=0.5),)
    """
    problems: list[str] = []
    parsed = [_objective(text, kinds, problems) for text in objectives]
    names = [str(objective) for objective in parsed]
    problems += [f"{setting('objective', name)}: given twice." for name in dict.fromkeys(names) if names.count(name) > 1]
    if not parsed:
        problems.append(f"no objective is given. Give {setting('objective', 'TASK/METRIC')}, for example click/ndcg.")
    if len(parsed) > MOST_OBJECTIVES:
        problems.append(f"{setting('objective')}: {len(parsed)} given; a search takes {MOST_OBJECTIVES} at most.")
    terms = [_term(text, problems) for text in features]
    named = [*(factors or kinds), *(feature for feature, _ in terms)]
    problems += [f"{name!r} is given twice as a factor." for name in dict.fromkeys(named) if named.count(name) > 1]
    problems += unknown_predictions(factors, columns)
    plan = Plan(tuple(parsed), tuple(factors or kinds), tuple(terms), trials, sampler, seed)
    least = len(plan.factors) + 1
    if not least <= trials <= 100_000:
        problems.append(f"{setting('trials', trials)}: expected {least} (one for each prediction alone, and all alike) to 100,000.")
    if sampler not in get_args(Sampler):
        problems.append(f"{setting('sampler', sampler)}: choose {' or '.join(get_args(Sampler))}.")
    if not 0 <= seed < 2**32:
        problems.append(f"{setting('seed', seed)}: expected a whole number from 0 to {2**32 - 1}.")
    raise_all(problems)
    _optuna()
    return plan


def _term(text: str, problems: list[str]) -> tuple[str, str]:
    named, equals, _ = text.partition("=")
    if equals:
        problems.append(f"{setting('feature', text)}: the search determines the weight. Write {named}.")
    feature, transform = parse_feature(named, problems)
    problems += unknown_transform(feature, transform)
    return feature, transform


def _objective(text: str, kinds: Mapping[str, str], problems: list[str]) -> Objective:
    name, equals, number = text.partition("=")
    match = _OBJECTIVE.match(name.strip())
    where, weight = setting("objective", text), 1.0
    if equals:
        try:
            weight = float(number)
        except ValueError:
            problems.append(f"{where}: {number!r} is not a number.")
        if not (math.isfinite(weight) and weight > 0):
            problems.append(f"{where}: its weight must be a number above 0, found {number!r}.")
    if match is None:
        problems.append(f"{where}: expected TASK/METRIC, with a metric of {', '.join(METRICS)}; for example click/ndcg@10.")
        return Objective(text, "ndcg")
    task, metric, k = match["task"], match["metric"], match["k"]
    if task not in kinds:
        problems.append(f"{where}: no task {task!r}.{did_you_mean(task, kinds)} Choose {', '.join(kinds)}.")
    if metric not in ("ndcg", "gain", "gauc") or (metric == "gauc" and k is not None):
        problems.append(
            f"{where}: no metric {name.partition('/')[2]!r}.{did_you_mean(metric, METRICS)} Choose {', '.join(METRICS)}."
        )
    elif metric == "gauc" and kinds.get(task) == "regression":
        problems.append(f"{where}: gauc needs a binary task; {task!r} is a regression. Choose ndcg or gain@K.")
    if k is not None and int(k) < 1:
        problems.append(f"{where}: @{k} must be at least 1.")
    return Objective(task, metric, int(k) if k is not None else None, weight)


@dataclass(frozen=True)
class Judged:
    """Labelled rows for a search: predictions and features by name, labels and weights by task, and the visit of each row.

    A weight of 0 means that the label is null or the row is outside the task's sample space. The gain of such a row is 0 in
    ``ndcg`` and ``gain``, and ``gauc`` does not use the row. Other weights count in ``gauc`` alone.
    """

    columns: Mapping[str, Floats]
    labels: Mapping[str, Floats]
    weights: Mapping[str, Floats]
    group_N: NDArray[np.int64]
    features: Mapping[str, Floats]


class Judge:
    """Computes the value of each objective for a score. ``random`` holds the values for a random order."""

    def __init__(self, rows: Judged, objectives: Sequence[Objective]):
        self.visits, self.objectives = Visits(rows.group_N), tuple(objectives)
        self._measures = [self._measure(rows, objective) for objective in objectives]
        self.random = self(np.zeros(rows.group_N.size))
        raise_all(
            f"{setting('objective', str(objective))}: undefined on {count_of(rows.group_N.size, 'row')}: no visit has several rows "
            f"with a {objective.task} among them. Give a log with more rows in each visit."
            for objective, value in zip(objectives, self.random, strict=True)
            if not math.isfinite(value)
        )

    def __call__(self, score_N: Floats) -> list[float]:
        """Return the value of each objective for the order of a score. Tied rows count as in a random order."""
        ranked = self.visits.ranked(score_N)
        return [float(measure(ranked)) for measure in self._measures]

    def _measure(self, rows: Judged, objective: Objective) -> Any:
        label_N, weight_N = rows.labels[objective.task], rows.weights[objective.task]
        if objective.metric == "gauc":
            return partial(Ranked.gauc, label_N=label_N, weight_N=weight_N)
        gain_N = np.where(weight_N > 0, label_N, 0.0)
        if objective.metric == "gain":
            return partial(Ranked.gain, gain_N=gain_N, k=objective.k)
        if (gain_N < 0).any():
            raise InputError(
                f"{setting('objective', str(objective))}: ndcg needs labels of at least 0; found {gain_N.min():g}. Choose gain@K."
            )
        return partial(Ranked.ndcg, gain_N=gain_N, k=objective.k, best_G=self.visits.best_gain(gain_N, objective.k))


def search(rows: Judged, plan: Plan) -> FusionSearch:
    """Search for weights. The result is the content of ``fusion-search.json`` without the description of the log.

    The first trials rank by each factor alone and by all factors with equal weights. So the result is at least as good as these.
    ``chosen`` is the trial with the highest sum of weight x value / (value of ranking by that task alone). Raises
    :class:`InputError` if an objective is undefined on the rows.
    """
    objectives, factors, pairs = plan.objectives, plan.factors, plan.terms
    judge = Judge(rows, objectives)
    names = [*factors, *(feature for feature, _ in pairs)]
    logs = [log_factor(rows.columns[name]) for name in factors]
    logs += [Term(feature, transform, 1.0).log(rows.features[feature]) for feature, transform in pairs]
    log_NF = np.column_stack(logs)
    alone = {name: judge(log_N) for name, log_N in zip(factors, log_NF.T, strict=False)}
    unit_M = [_unit(judge, rows, m) for m in range(len(objectives))]

    def value(weights: Sequence[float]) -> list[float]:
        return judge(log_NF @ np.asarray(weights, dtype=np.float64))

    bounds = [(0.0 if f < len(factors) else -1.0, 1.0) for f in range(len(names))]
    starts = [[float(f == only) for f in range(len(names))] for only in range(len(factors))]
    starts += [[float(f < len(factors)) for f in range(len(names))]] if len(factors) > 1 else []
    tried = _optimise(value, bounds, starts, plan)
    value_PM = np.array([values for _, values in tried])
    total_P = (value_PM / unit_M) @ [objective.weight for objective in objectives]
    front_P = non_dominated(value_PM)
    best = int(np.argmax(total_P))
    trials = zip(tried, total_P, front_P, strict=True)
    return FusionSearch(
        search_version=FusionSearch.VERSION,
        objectives=[_searched(objective, unit_M[m], judge.random[m]) for m, objective in enumerate(objectives)],
        factors=list(factors),
        features=[SearchFeature(feature=feature, transform=transform) for feature, transform in pairs],
        rows=int(rows.group_N.size),
        visits=len(judge.visits),
        sampler=plan.sampler,
        seed=plan.seed,
        alone=alone,
        trials=[
            Trial(weights=_scaled(weights), values=values, total=float(total), front=bool(on_front))
            for (weights, values), total, on_front in trials
        ],
        chosen=best,
        hypervolume=hypervolume(value_PM / unit_M, np.array(judge.random) / unit_M),
    )


def _searched(objective: Objective, unit: float, random: float) -> SearchObjective:
    """Return an objective with its values for ranking by its task alone and for a random order."""
    return SearchObjective(objective=str(objective), task=objective.task, weight=objective.weight, task_alone=unit, random=random)


def found_fusion(result: FusionSearch, name: str = "score", note: str = "", **made: Any) -> Fusion:
    """Return the fusion that a search chose. ``made`` adds entries to its description."""
    weights = result.trials[result.chosen].weights
    split = len(result.factors)
    terms = (Term(term.feature, term.transform, weight) for term, weight in zip(result.features, weights[split:], strict=True))
    names = [objective.objective for objective in result.objectives]
    values = dict(zip(names, result.trials[result.chosen].values, strict=True))
    how = {"sampler": result.sampler, "seed": result.seed, "rows": result.rows, "visits": result.visits}
    objectives = {objective.objective: objective.weight for objective in result.objectives}
    about = {**made, "how": "search", "objectives": objectives, "values": values, "trials": len(result.trials), **how}
    return Fusion(dict(zip(result.factors, weights[:split], strict=True)), tuple(terms), name, note=note, made=about)


def judge_fusion(rows: Judged, fusion: Fusion) -> FusionRanking:
    """Measure how a fusion ranks the visits of some rows.

    The objectives are those of the search that made the fusion. A fusion without a search has the NDCG of every task.
    """
    ranked: dict[str, RankedObjective] = {}
    undefined: dict[str, str] = {}
    fused_N = fusion.log_score(rows.columns, rows.features)
    for text in fusion.made.get("objectives") or [f"{task}/ndcg" for task in rows.labels]:
        match = _OBJECTIVE.match(str(text))
        if match is None or match["task"] not in rows.labels:
            continue
        objective = Objective(match["task"], match["metric"], int(match["k"]) if match["k"] else None)
        try:
            judge = Judge(rows, [objective])
        except InputError as error:
            undefined[str(objective)] = str(error)
            continue
        alone = {name: judge(log_factor(column_N))[0] for name, column_N in rows.columns.items()}
        ranked[str(objective)] = RankedObjective(fused=judge(fused_N)[0], random=judge.random[0], alone=alone)
    visits = int(np.unique(rows.group_N).size)
    return FusionRanking(formula=fusion.formula(), version=fusion.version, visits=visits, objectives=ranked, undefined=undefined)


def _unit(judge: Judge, rows: Judged, m: int) -> float:
    """Return the value of an objective for ranking by its task alone. It is the unit of the objective."""
    objective = judge.objectives[m]
    value = judge(log_factor(rows.columns[objective.task]))[m]
    if not value > 0:
        raise InputError(
            f"{setting('objective', str(objective))}: ranking by {objective.task} alone has the value {value:g}, and the search "
            "divides by it. Choose another objective."
        )
    return value


def _scaled(weights: Sequence[float]) -> list[float]:
    """Scale weights to a largest absolute weight of 1. The order of the rows is the same."""
    largest = max(abs(weight) for weight in weights)
    return [float(weight / largest) for weight in weights] if largest else list(weights)


def _optimise(
    value: Callable[[Sequence[float]], list[float]],
    bounds: Sequence[tuple[float, float]],
    starts: Sequence[Sequence[float]],
    plan: Plan,
) -> list[tuple[list[float], list[float]]]:
    """Maximise all objectives. Return the trials as (weights, values)."""
    optuna = _optuna()
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        sampler = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}[plan.sampler](seed=plan.seed)
        study = optuna.create_study(directions=["maximize"] * len(plan.objectives), sampler=sampler)
        for start in starts:
            study.enqueue_trial({f"w{f}": weight for f, weight in enumerate(start)})
        tried = []
        for _ in range(plan.trials):
            trial = study.ask()
            weights = [trial.suggest_float(f"w{f}", low, high) for f, (low, high) in enumerate(bounds)]
            if not any(weights):
                weights[0] = 1.0  # weights of 0 alone would give all rows the same score
            values = value(weights)
            study.tell(trial, values)
            tried.append((weights, values))
        return tried
    finally:
        optuna.logging.set_verbosity(level)


def _optuna() -> Any:
    """Import Optuna. Without it, raise an :class:`InputError` with the install command."""
    try:
        import optuna
    except ImportError:
        raise InputError(INSTALL) from None
    return optuna
