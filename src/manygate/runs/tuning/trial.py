"""A trial: some replicas train with the settings that were proposed, and validation rows judge them. Test rows are not read.

Shape suffixes: R replicas, N validation rows, T tasks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.data.file_split import LogSplit, split_of
from manygate.errors import InputError
from manygate.evaluation.monitor import Monitor
from manygate.metrics.table import MAIN_METRIC
from manygate.model.budget import matched, measure
from manygate.model.device import choose_device
from manygate.model.logits import predict
from manygate.model.problem import Problem
from manygate.runs.own import valid_scores
from manygate.runs.run import FREE_SETTINGS, OutOfMemoryError, fit
from manygate.runs.tuning.ledger import Entry, Ledger, Outcome
from manygate.training.callback import EpochEnd, OnEpoch
from manygate.training.divergence import DivergedError
from manygate.training.progress import Progress
from manygate.training.selection import Fitted

FEWEST_TRIALS, FEWEST_EPOCHS = 5, 2
"""A trial is not ended early before so many trials have finished, and before it has trained for so many epochs."""


@dataclass
class Reporter:
    """Records the best score so far after each evaluation of a trial, and decides whether the trial ends early.

    The score so far is the mean over replicas of each one's best validation score, all tasks at one epoch. It never falls, so two
    trials can be compared at an epoch after which one of them had stopped.
    """

    ledger: Ledger
    entry: Entry
    config: RunConfig
    others: Sequence[Mapping[int, float]] = ()
    """The curves of the trials that a decision may use. Without any, the trial is not ended early."""
    pruned: bool = False

    def __post_init__(self) -> None:
        before = self.entry.about.get("best")
        self.best_R: list[float | None] = list(before) if before else [None] * self.config.replicas

    def __call__(self, end: EpochEnd) -> bool:
        """Take in an evaluation. Return true if the trial ends here."""
        if len(end.score) != self.config.replicas:  # a pack of the replicas: no score of all of them is known
            return False
        self.best_R = [_better(best, score) for best, score in zip(self.best_R, end.score, strict=True)]
        known = [best for best in self.best_R if best is not None]
        if len(known) < len(self.best_R):
            return False
        score, evaluation = statistics.fmean(known), round(end.epoch / self.config.evaluate_every)
        if evaluation not in self.entry.curve:
            self.ledger.report(self.entry, evaluation, score, self.best_R)
        self.pruned = end.epoch >= FEWEST_EPOCHS and below_median(score, evaluation, self.others)
        return self.pruned


def _better(best: float | None, score: float | None) -> float | None:
    return score if best is None else best if score is None else max(best, score)


def below_median(score: float, evaluation: int, others: Sequence[Mapping[int, float]]) -> bool:
    """Return whether a score is below the median of other trials at the same evaluation.

    A trial that had stopped before counts with its last score.

    >>> below_median(0.6, 2, [{1: 0.5, 2: 0.7}, {1: 0.65}, {1: 0.4, 2: 0.5}, {1: 0.1, 2: 0.7}, {2: 0.7}])
    True
    """
    then = [scores[-1] for curve in others if (scores := [value for at, value in sorted(curve.items()) if at <= evaluation])]
    return len(then) >= FEWEST_TRIALS and score < statistics.median(then)


def run_trial(
    log: EncodedLog, config: RunConfig, objectives: Sequence[str], folder: Path | None, progress: Progress, report: Reporter
) -> Outcome:
    """Train a trial and return how it ended. With a folder it continues from its checkpoint."""
    problem = Problem.of(log.encoder, config)
    try:
        measure(problem, matched(problem, config))
    except InputError as error:
        return _failed(f"it cannot be built: {error}")
    try:
        fitted, valid = _fitted(log, problem, config, folder, progress, report)
    except (DivergedError, OutOfMemoryError) as error:
        return _failed(str(error))
    return _outcome(log, problem, config, objectives, fitted, valid, report.pruned)


def _failed(reason: str) -> Outcome:
    return Outcome("failed", about={"reason": reason})


def _fitted(
    log: EncodedLog, problem: Problem, config: RunConfig, folder: Path | None, progress: Progress, on_epoch: OnEpoch
) -> tuple[Fitted, LogSplit]:
    """Train the replicas. Where tests would be predicted in a comparison, validation rows are predicted here."""
    device = choose_device(config.device)
    in_groups = any(task.trained_by == "pairwise" for task in problem.tasks)
    train, valid = split_of(log.parts["train"], device, in_groups), split_of(log.parts["valid"], device)
    monitor = Monitor(config.monitor, problem, log.parts["valid"], valid)
    fingerprint = log.fingerprint(config.replace(**FREE_SETTINGS).to_yaml() + "trial\n")
    return fit(problem, train, valid, monitor, config, folder, progress, fingerprint, on_epoch), valid


def _outcome(
    log: EncodedLog,
    problem: Problem,
    config: RunConfig,
    objectives: Sequence[str],
    fitted: Fitted,
    valid: LogSplit,
    pruned: bool,
) -> Outcome:
    rows, state = log.parts["valid"], fitted.state
    logit_RNT = fitted.own_logit_RNT if fitted.own_logit_RNT is not None else predict(fitted.model, valid)
    members, watched = fitted.model.trained_members, Monitor(config.monitor, problem, rows, valid)
    score_OR = [
        valid_scores(state, members, watched)
        if objective == config.monitor
        else Monitor(objective, problem, rows, valid)(logit_RNT, members).score_R.tolist()
        for objective in objectives
    ]
    undefined = [name for name, score_R in zip(objectives, score_OR, strict=True) if not np.isfinite(score_R).all()]
    if undefined:
        return _failed(f"{undefined[0]} is undefined on the validation rows")
    main_RT = watched(logit_RNT, members).metric_RT
    tasks: dict[str, JsonValue] = {
        task.name: {"metric": MAIN_METRIC[task.kind], "mean": _plain(float(np.mean(main_RT[:, t])))}
        for t, task in enumerate(problem.tasks)
    }
    diverged = sum(step is not None for step in state.diverged)
    return Outcome(
        "pruned" if pruned else "complete",
        tuple(statistics.fmean(score_R) for score_R in score_OR),
        {
            "scores": [[float(score) for score in score_R] for score_R in score_OR],
            "noise": [_noise(score_R) for score_R in score_OR],
            "tasks": tasks,
            "epochs": state.epoch + state.part * config.evaluate_every,
            "diverged": diverged,
        },
    )


def _noise(score_R: Sequence[float]) -> float | None:
    """Return the variance of the mean over replicas. None with one replica.

    >>> _noise([0.5, 0.75]), _noise([0.5])
    (0.015625, None)
    """
    return statistics.variance(score_R) / len(score_R) if len(score_R) > 1 else None


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
