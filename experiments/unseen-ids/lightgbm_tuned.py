"""LightGBM tuned on validation: random trials for each task, seeded, on the rows, masks and weights of a comparison.

python experiments/unseen-ids/lightgbm_tuned.py CONFIG.yaml --out tuned.json        CONFIG.yaml is that of a comparison

``tune_task`` searches for one task, and ``tuned_logits`` fits what it found with the seeds of the replicas. The first two trials
are the two forms of Manygate's baseline. Each trial stops on the validation rows, and the best main metric on them
chooses; test rows choose nothing. A trial is drawn by its number and the seed alone, so that more trials begin with the same ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from manygate.baselines.boosting import PARAMETERS, boost
from manygate.baselines.task_model import Fitted, TaskFailedError, TaskRows
from manygate.baselines.tree_inputs import MOST_CATEGORIES, TreeInputs, tree_inputs
from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.files import to_json, write_text
from manygate.runs.preflight import prepare

TRIALS = 50
EVERY_ID = 10**9


@dataclass(frozen=True)
class Trial:
    """LightGBM's parameters, whether ids have target statistics, and up to how many ids they are native categories, too."""

    parameters: dict[str, Any]
    with_statistics: bool = True
    most_categories: int = MOST_CATEGORIES


@dataclass(frozen=True)
class Tuned:
    """The best trial of a task, its number and its main metric on validation, and that of every trial (NaN if it failed)."""

    trial: Trial
    number: int
    valid: float
    all_valid: list[float]


def draw_trial(number: int, seed: int, t: int) -> Trial:
    """Draw a trial. The numbers 0 and 1 are the two forms of the default: with target statistics, and without them."""
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


def fit_trial(rows: TaskRows, trial: Trial, cache: dict[tuple[int, bool, int], TreeInputs] | None = None) -> Fitted:
    """Fit one trial; ``cache`` keeps the columns of its seed."""
    cache = {} if cache is None else cache
    key = (rows.seed, trial.with_statistics, trial.most_categories)
    if key not in cache:
        cache[key] = tree_inputs(rows.log, rows.task, rows.seed, trial.with_statistics, trial.most_categories)
    return boost(rows, cache[key], trial.parameters)


def tune_task(log: EncodedLog, t: int, seed: int = 0, trials: int = TRIALS, threads: int = 1) -> Tuned:
    """Search for the trial with the best main metric on validation."""
    rows, cache, scores = TaskRows(log, t, seed, threads), {}, []
    for number in range(trials):
        try:
            fitted = fit_trial(rows, draw_trial(number, seed, t), cache)
            scores.append(rows.score("valid", fitted.logit_N["valid"]))
        except TaskFailedError:
            scores.append(float("nan"))
    best = int(np.nanargmax(scores))
    return Tuned(draw_trial(best, seed, t), best, scores[best], scores)


def tuned_logits(log: EncodedLog, t: int, tuned: Tuned, seeds: Sequence[int], threads: int = 1) -> np.ndarray:
    """Fit the best trial with each seed, and return the logits of the test rows, (R, N)."""
    return np.stack([fit_trial(TaskRows(log, t, seed, threads), tuned.trial).logit_N["test"] for seed in seeds])


def tune_log(log: EncodedLog, config: RunConfig, trials: int = TRIALS, seed: int = 0) -> tuple[np.ndarray, dict[str, Any]]:
    """Tune every task. Return the logits of the test rows (R, N, T), and what was found as JSON.

    Replica r has the seed of a network's replica r, so that both can be paired.
    """
    threads, seeds = config.threads or 1, [config.seed_of(r) for r in range(config.replicas)]
    logits, found = [], {}
    for t, task in enumerate(log.schema.tasks):
        began = time.monotonic()
        tuned = tune_task(log, t, seed, trials, threads)
        logit_RN = tuned_logits(log, t, tuned, seeds, threads)
        rows = TaskRows(log, t)
        logits.append(logit_RN)
        found[task.name] = {
            "trial": tuned.number,
            "parameters": tuned.trial.parameters,
            "target_statistics": tuned.trial.with_statistics,
            "most_categories": tuned.trial.most_categories,
            "valid": tuned.valid,
            "valid_default": float(np.nanmax(tuned.all_valid[:2])),
            "test": [rows.score("test", logit_N) for logit_N in logit_RN],
            "seconds": round(time.monotonic() - began, 1),
        }
        print(task.name, found[task.name], flush=True)
    return np.stack(logits, axis=-1).astype(np.float32), found


def main() -> None:
    """Tune LightGBM on the log of a configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    config = RunConfig.load(arguments.config)
    _, found = tune_log(prepare(config.log, config), config, arguments.trials, arguments.seed)
    write_text(arguments.out, to_json({"trials": arguments.trials, "seed": arguments.seed, "tasks": found}))


if __name__ == "__main__":
    main()
