"""A random search for LightGBM's parameters: one search for each task, judged on the validation rows by the task's main metric.

The first two trials are the two forms of the default (:mod:`manygate.baselines.boosting`). A trial is drawn by its number and the
seed alone, so more trials begin with the same ones, and a search that was stopped goes on. Test rows choose nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manygate.baselines.boosting import PARAMETERS, boost
from manygate.baselines.task_model import Fitted, TaskFailedError, TaskRows, check_labels
from manygate.baselines.tree_inputs import MOST_CATEGORIES, TreeInputs, tree_inputs
from manygate.data.encoded import EncodedLog

TRIALS = 50
EVERY_ID = 10**9
"""With so many categories every feature of ids is a native category."""
Cache = dict[tuple[int, bool, int], TreeInputs]
"""The columns of trees by seed, whether ids have target statistics, and the largest number of native categories."""


@dataclass(frozen=True)
class Trial:
    """LightGBM's parameters, whether ids have target statistics, and up to how many ids they are native categories, too."""

    parameters: dict[str, Any]
    with_statistics: bool = True
    most_categories: int = MOST_CATEGORIES


@dataclass(frozen=True)
class Score:
    """The main metric of a trial on the validation rows, NaN if the trial failed, and the seconds that it took."""

    valid: float
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """The best trial of a task, its number and its main metric on validation, and the scores of all trials."""

    trial: Trial
    number: int
    valid: float
    scores: tuple[Score, ...]


def draw_trial(number: int, seed: int, t: int) -> Trial:
    """Draw a trial of task ``t``. The numbers 0 and 1 are the two forms of the default: with target statistics, and without them.

    >>> draw_trial(0, seed=0, t=0).with_statistics, draw_trial(1, seed=0, t=0).with_statistics
    (True, False)
    """
    if number < 2:
        return Trial(PARAMETERS, with_statistics=number == 0)
    random = np.random.Generator(np.random.PCG64([seed, t, number]))

    def between(low: float, high: float) -> float:
        """A number whose logarithm is uniform."""
        return float(np.exp(random.uniform(np.log(low), np.log(high))))

    parameters = {
        "learning_rate": between(0.015, 0.2),
        "num_leaves": round(between(4, 128)),
        "min_data_in_leaf": round(between(5, 300)),
        "feature_fraction": random.uniform(0.4, 1.0),
        "bagging_fraction": random.uniform(0.5, 1.0),
        "bagging_freq": 1,
        "lambda_l2": between(1e-3, 100),
        "lambda_l1": between(1e-3, 10) if random.random() < 0.5 else 0.0,
        "cat_smooth": between(1, 300),
        "cat_l2": between(1, 100),
        "min_data_per_group": round(between(5, 300)),
    }
    with_statistics = bool(random.random() < 0.75)
    return Trial(parameters, with_statistics, int(random.choice([0, 400, MOST_CATEGORIES, EVERY_ID])))


def fit_trial(rows: TaskRows, trial: Trial, cache: Cache | None = None) -> Fitted:
    """Fit one trial. ``cache`` keeps the columns of its seed for other trials."""
    cache = {} if cache is None else cache
    key = (rows.seed, trial.with_statistics, trial.most_categories)
    if key not in cache:
        cache[key] = tree_inputs(rows.log, rows.task, rows.seed, trial.with_statistics, trial.most_categories)
    return boost(rows, cache[key], trial.parameters)


def tune_task(
    log: EncodedLog,
    t: int,
    seed: int = 0,
    trials: int = TRIALS,
    threads: int = 1,
    known: Sequence[Score] = (),
    on_trial: Callable[[Sequence[Score]], None] | None = None,
) -> Tuned:
    """Search for the trial with the best main metric on validation. Of equal trials the first is the best.

    Args:
        log: The encoded log.
        t: The index of the task.
        seed: The seed of the trials and of their fits.
        trials: The number of trials.
        threads: The number of threads of LightGBM.
        known: The scores of the first trials, of a search that was stopped. They are not fitted again.
        on_trial: Called with the scores of all trials so far, after each that was fitted.

    Raises:
        TaskFailedError: The task cannot be learnt, or every trial failed; with the reason.
    """
    rows, scores, reason = TaskRows(log, t, seed, threads), list(known[:trials]), "every trial failed"
    check_labels(rows)
    cache: Cache = {}
    for number in range(len(scores), trials):
        began = time.monotonic()
        try:
            valid = rows.score("valid", fit_trial(rows, draw_trial(number, seed, t), cache).logit_N["valid"])
        except TaskFailedError as error:
            valid, reason = math.nan, str(error)
        scores.append(Score(valid, round(time.monotonic() - began, 3)))
        if on_trial is not None:
            on_trial(scores)
    complete = [number for number, score in enumerate(scores) if math.isfinite(score.valid)]
    if not complete:
        raise TaskFailedError(reason)
    best = max(complete, key=lambda number: (scores[number].valid, -number))
    return Tuned(draw_trial(best, seed, t), best, scores[best].valid, tuple(scores))
