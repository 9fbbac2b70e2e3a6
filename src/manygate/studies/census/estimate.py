"""Estimates how long the networks of the study take, from a few steps of each."""

from __future__ import annotations

import math
import time

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.data.file_split import split_of
from manygate.evaluation.monitor import Monitor
from manygate.model.problem import Problem
from manygate.runs.run import fit
from manygate.studies.census.plan import Job, Plan
from manygate.training.progress import Progress

FEW, MORE = 3, 13
"""The numbers of steps of the two short trainings whose difference gives the time of a step."""
SHARE_OF_EPOCHS = 0.5
"""Early stopping is taken to end a training after this share of the largest number of epochs."""


def job_seconds(job: Job, log: EncodedLog, plan: Plan, replicas: int, threads: int | None) -> float:
    """Estimate the seconds of a job with the default settings of its network. The searched sizes may take half or twice as long."""
    config = plan.config(job, threads).for_rows(len(log.parts["train"]))
    short, longer = (_timed(log, config, steps) for steps in (FEW, MORE))
    step = max(longer - short, 0.0) / (MORE - FEW)
    epoch = step * math.ceil(len(log.parts["train"]) / config.batch_rows) + short
    trainings = plan.trials + replicas / plan.trial_replicas
    return epoch * SHARE_OF_EPOCHS * plan.epochs * trainings


def _timed(log: EncodedLog, config: RunConfig, steps: int) -> float:
    """Return the seconds of a training of so many steps, with one evaluation."""
    problem = Problem.of(log.encoder, config)
    train, valid = split_of(log.parts["train"]), split_of(log.parts["valid"])
    monitor = Monitor(config.monitor, problem, log.parts["valid"], valid)
    began = time.perf_counter()
    fit(problem, train, None, monitor, config.replace(max_steps=steps), None, Progress(), "", None)
    return time.perf_counter() - began
