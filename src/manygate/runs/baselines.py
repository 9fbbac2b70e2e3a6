"""The baselines of a comparison: fits them on its rows, and measures the networks against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from manygate.baselines.baseline import FittedBaseline, failure_warnings, run_baseline
from manygate.baselines.installed import chosen_baselines
from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.evaluation.gains import measured
from manygate.metrics.paired import Measured, gain
from manygate.model.problem import Problem
from manygate.results.baselines import AgainstBaselines, BaselineResult
from manygate.results.evaluation import DataWarning
from manygate.text import listed
from manygate.training.progress import Progress
from manygate.verdict.looks import looks_by_model
from manygate.verdict.outside import outside_words

FOLDER = "baselines"
Fields = dict[str, dict[str, BaselineResult] | AgainstBaselines]
"""Fields of the document."""


def fit_baselines(log: EncodedLog, config: RunConfig, folder: Path | None, progress: Progress) -> dict[str, FittedBaseline]:
    """Fit the baselines that are asked for, or LightGBM if it is installed. Replica r has the seed of the networks' replica r."""
    names, _ = chosen_baselines(config.baselines, log.in_files)
    if set(names) - {"constant"}:
        log = log.loaded()
    problem = Problem.of(log.encoder, config)
    seeds = [config.seed_of(r) for r in range(config.replicas)]
    threads = config.threads or torch.get_num_threads()
    return {
        name: run_baseline(name, log, problem, seeds, threads, folder / FOLDER / name if folder else None, progress.say)
        for name in names
    }


def baseline_warnings(config: RunConfig, fitted: Mapping[str, FittedBaseline], in_files: bool = False) -> list[DataWarning]:
    """Say which tasks a baseline could not learn, that LightGBM is missing where nobody left it out, and that none is tuned."""
    _, note = chosen_baselines(config.baselines, in_files)
    notes = [DataWarning(level="note", text=note)] if note else []
    tunable = [name for name in fitted if name != "constant"]
    if config.tune and tunable:
        notes.append(DataWarning(level="note", text=untuned(tunable)))
    return [DataWarning(text=text) for text in failure_warnings([entry.result for entry in fitted.values()])] + notes


def untuned(names: Sequence[str]) -> str:
    """Say that baselines are not tuned where the networks are.

    >>> untuned(["lightgbm"])
    'lightgbm was not tuned, and the networks were. So a gain over it is also a gain by tuning.'
    """
    was, them = ("was", "it") if len(names) == 1 else ("were", "them")
    return f"{listed(names)} {was} not tuned, and the networks were. So a gain over {them} is also a gain by tuning."


def against_fields(
    log: EncodedLog,
    problem: Problem,
    networks: Mapping[str, Mapping[str, Measured]],
    fitted: Mapping[str, FittedBaseline],
    chosen: str | None,
) -> Fields:
    """Return the fields of a comparison that need baselines; none where there are none.

    ``networks`` holds the main metric of each network and task, with the weights that the network keeps. ``chosen`` is the network
    that validation chose.
    """
    if not fitted:
        return {}
    results = {name: entry.result for name, entry in fitted.items()}
    looks = looks_by_model(list(networks), len(log.schema.tasks) * len(fitted), chosen)
    outside = {name: measured_baseline(log, problem, entry) for name, entry in fitted.items()}
    gains = {
        network: {
            baseline: {task: gain(networks[network][task], of_task, looks[network]) for task, of_task in by_task.items()}
            for baseline, by_task in outside.items()
        }
        for network in networks
    }
    return {
        "baselines": results,
        "against_baselines": AgainstBaselines(model=chosen, looks=looks, gains=gains, text=outside_words(gains, chosen)),
    }


def measured_baseline(log: EncodedLog, problem: Problem, fitted: FittedBaseline) -> dict[str, Measured]:
    """Measure the main metric of each task of a baseline, without the tasks that failed."""
    by_task = measured(np.nan_to_num(fitted.test_logit_RNT, nan=0.0), log.parts["test"], problem)
    return {task: entry for task, entry in by_task.items() if task in fitted.result.tasks}
