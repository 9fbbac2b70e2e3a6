"""The models from outside: LightGBM tuned on validation rows, and logistic regression; a model for each task."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from manygate.baselines.boosting_search import Score, Tuned, fit_trial, tune_task
from manygate.baselines.installed import missing_library
from manygate.baselines.linear import STRENGTHS, fit_linear
from manygate.baselines.task_model import TaskFailedError, TaskRows
from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.errors import InputError
from manygate.model.problem import Problem
from manygate.results.census import CensusModel, CensusSearch
from manygate.studies.census.outcome import Outcome, judge
from manygate.studies.census.plan import Job, Plan
from manygate.studies.census.storage import read_step, write_step
from manygate.text import count_of
from manygate.training.progress import Progress

PARTS = ("valid", "test")


def run_outside(
    job: Job, log: EncodedLog, plan: Plan, replicas: int, folder: Path, progress: Progress, threads: int | None
) -> Outcome:
    """Fit and judge a model from outside. Every fit that has ended is kept, so a stopped job goes on from there."""
    missing = missing_library(job.method)
    if missing is not None:
        raise InputError(f"{job.method}: {missing[0]}. {missing[1]}")
    cores = threads or torch.get_num_threads()
    try:
        if job.method == "logistic":
            return _logistic(job, log, cores)
        return _lightgbm(job, log, plan, replicas, folder, progress, cores)
    except TaskFailedError as error:
        raise InputError(f"{job.name}: {error}.") from None


def _lightgbm(job: Job, log: EncodedLog, plan: Plan, replicas: int, folder: Path, progress: Progress, threads: int) -> Outcome:
    tuned = search_boosting(job, log, plan, folder, progress, threads)
    seeds = [plan.first_final_seed + r for r in range(replicas)]
    progress.say(f"{job.name}: fitting {count_of(replicas, 'replica')} of trial {tuned.number}")
    fits = [_fit(job, log, plan, tuned, seed, folder, threads) for seed in seeds]
    logit_RNT = {part: np.stack([arrays[part] for _, arrays in fits])[..., None] for part in PARTS}
    settings = {
        **tuned.trial.parameters,
        "target_statistics": tuned.trial.with_statistics,
        "most_categories": tuned.trial.most_categories,
    }
    search = CensusSearch(
        sampler="random",
        objective=job.tasks[0],
        values=[score.valid if math.isfinite(score.valid) else None for score in tuned.scores],
        chosen=tuned.number,
        settings=settings,
        seconds=round(sum(score.seconds for score in tuned.scores), 3),
    )
    return _outcome(job, log, logit_RNT, search, settings, True, sum(seconds for seconds, _ in fits))


def search_boosting(job: Job, log: EncodedLog, plan: Plan, folder: Path, progress: Progress, threads: int) -> Tuned:
    """Search with a random search of as many trials as the networks have. The scores of earlier trials are read again."""
    known: list[Score] = []
    for number in range(plan.trials):
        step = read_step(_trial(folder, number), f"{job.name} trial {number}")
        if step is None:
            break
        (valid, seconds), _ = step
        known.append(Score(math.nan if valid is None else valid, seconds))

    def on_trial(scores: Sequence[Score]) -> None:
        number, score = len(scores) - 1, scores[-1]
        valid = score.valid if math.isfinite(score.valid) else None
        write_step(_trial(folder, number), f"{job.name} trial {number}", (valid, score.seconds), {})
        progress.say(f"{job.name}: trial {number + 1} of {plan.trials}, AUC {score.valid:.4f} on validation")

    return tune_task(log, 0, plan.seed, plan.trials, threads, known, on_trial)


def _trial(folder: Path, number: int) -> Path:
    return folder / "trials" / f"{number:05d}"


def _fit(
    job: Job, log: EncodedLog, plan: Plan, tuned: Tuned, seed: int, folder: Path, threads: int
) -> tuple[float, dict[str, np.ndarray]]:
    """Fit the best trial with a seed, or read the fit. Return its seconds, and its logits by part."""
    return _once(
        folder / "fits" / f"{seed:05d}",
        f"{job.name} trial {tuned.number} seed {seed}",
        lambda: fit_trial(TaskRows(log, 0, seed, threads), tuned.trial).logit_N,
    )


def _once(folder: Path, key: str, fit: Callable[[], dict[str, np.ndarray]]) -> tuple[float, dict[str, np.ndarray]]:
    step = read_step(folder, key)
    if step is None:
        began, logit_N = time.monotonic(), fit()
        step = round(time.monotonic() - began, 3), {part: logit_N[part].astype(np.float32) for part in PARTS}
        write_step(folder, key, *step)
    return step


def _logistic(job: Job, log: EncodedLog, threads: int) -> Outcome:
    began = time.monotonic()
    fitted = fit_linear(TaskRows(log, 0, 0, threads))
    logit_RNT = {part: np.asarray(fitted.logit_N[part], dtype=np.float32)[None, :, None] for part in PARTS}
    settings = {"strength": fitted.chosen, "strengths": list(STRENGTHS)}
    return _outcome(job, log, logit_RNT, None, settings, False, time.monotonic() - began)


def _outcome(
    job: Job,
    log: EncodedLog,
    logit_RNT: dict[str, np.ndarray],
    search: CensusSearch | None,
    settings: dict[str, object],
    seeded: bool,
    seconds: float,
) -> Outcome:
    problem = Problem.of(log.encoder, RunConfig())
    tasks, influence_G = judge(log, problem, logit_RNT)
    tree: dict[str, object] = {
        "method": job.method,
        "rows": {part: len(rows) for part, rows in log.parts.items()},
        "tasks": tasks,
        "search": search,
        "settings": settings,
        "seeded": seeded,
        "parameters": None,
        "epochs": [],
        "diverged": 0,
        "seconds": round(seconds, 3),
    }
    return Outcome(CensusModel.model_validate(tree), influence_G)
