"""Builds the results of the study from the outcomes of its jobs: rows beside the paper's, paired gains, and the chance in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np
import torch

from manygate.metrics.paired import gain, half_width
from manygate.results.census import (
    BestRun,
    CensusGain,
    CensusGroup,
    CensusNoise,
    CensusResults,
    CensusRow,
    CensusTask,
    PaperRow,
)
from manygate.results.summary import JointGain, MetricSummary
from manygate.studies.census import paper
from manygate.studies.census.conclusions import conclusions, limits
from manygate.studies.census.noise import halves, lift_of_best
from manygate.studies.census.outcome import Outcome
from manygate.studies.census.plan import MARRIED, Plan, row_models

MORE_RUNS = (100, 400)
"""The numbers of runs for which the width of an interval is foretold."""
REFERENCE = "mmoe"
"""The paper's claims are about this method, so it is compared with every other one."""


def build(
    outcomes: Mapping[str, Outcome],
    plan: Plan,
    methods: Sequence[str],
    groups: Sequence[str],
    replicas: int,
    quick: bool = False,
    command: str = "",
    estimated_seconds: float | None = None,
) -> CensusResults:
    """Return the document. ``outcomes`` are by the name of the job."""
    reference = REFERENCE if REFERENCE in methods else methods[0]
    looks = max(2 * len(groups) * (len(methods) - 1), 1)
    models = {name: outcome.model for name, outcome in outcomes.items()}
    built = {group: _group(outcomes, methods, group, reference, replicas, looks) for group in groups}
    results = CensusResults(
        census_version=CensusResults.VERSION,
        manygate_version=version("manygate"),
        torch_version=torch.__version__,
        command=command,
        quick=quick,
        plan=plan.to_tree(),
        rows=next(iter(models.values())).rows,
        replicas=replicas,
        looks=looks,
        models=models,
        groups=built,
        limits=[],
        seconds=round(sum(model.seconds + (model.search.seconds if model.search else 0.0) for model in models.values()), 1),
        estimated_seconds=estimated_seconds,
    )
    told = {name: group.model_copy(update={"conclusions": conclusions(results, name)}) for name, group in built.items()}
    return results.model_copy(update={"groups": told, "limits": limits(results)})


def _group(
    outcomes: Mapping[str, Outcome], methods: Sequence[str], group: str, reference: str, replicas: int, looks: int
) -> CensusGroup:
    others = [method for method in methods if method != reference]
    gains = [_gain(outcomes, group, reference, method, task, replicas, looks) for method in others for task in (group, MARRIED)]
    return CensusGroup(
        main=group,
        table=paper.TABLE_OF[group],
        reference=reference,
        rows=[_row(outcomes, group, method) for method in methods],
        gains=gains,
        noise=[_noise(outcomes, group, method) for method in methods],
        conclusions=[],
    )


def _row(outcomes: Mapping[str, Outcome], group: str, method: str) -> CensusRow:
    main, married = row_models(method, group)
    both = outcomes[main].model.tasks[group], outcomes[married].model.tasks[MARRIED]
    alone = main != married
    return CensusRow(
        method=method,
        main_model=main,
        married_model=married,
        paper=paper.TABLES[group].get(method),
        best=_best_run(*both, "test", alone),
        chosen=_best_run(*both, "valid", alone),
    )


def _best_run(main: CensusTask, married: CensusTask, part: str, alone: bool) -> BestRun:
    """Pick a run by the main task on a part. Two models of one task each are picked by their own tasks."""
    run = _best(main, part)
    married_run = _best(married, part) if alone else run
    return BestRun(run=run, married_run=married_run, main=_value(main.test, run), married=_value(married.test, married_run))


def _best(task: CensusTask, part: str) -> int:
    summary: MetricSummary = getattr(task, part)
    return int(np.argmax([_value(summary, run) for run in range(len(summary.values))]))


def _value(summary: MetricSummary, run: int) -> float:
    value = summary.values[run]
    assert value is not None, "validation and test rows have both labels"
    return value


def _gain(
    outcomes: Mapping[str, Outcome], group: str, reference: str, method: str, task: str, replicas: int, looks: int
) -> CensusGain:
    ahead, behind = (outcomes[row_models(name, group)[task == MARRIED]].measured(task, replicas) for name in (reference, method))
    found = gain(ahead, behind, looks)
    mine, other = (paper.TABLES[group].get(name) for name in (reference, method))
    return CensusGain(
        method=method,
        task=task,
        gain=found,
        halves=halves(found, MORE_RUNS, looks),
        paper_gain=_mean(mine, task) - _mean(other, task) if mine is not None and other is not None else None,
        paper_half=_paper_half(found),
    )


def _mean(row: PaperRow, task: str) -> float:
    return row.married_mean if task == MARRIED else row.mean


def _paper_half(found: JointGain) -> float | None:
    """Return half the width of a single 95 % interval with the paper's runs, by our deviations over seeds and test rows."""
    if found.sd_replicas is None or found.se_test is None:
        return None
    return half_width(found.sd_replicas, paper.RUNS, found.se_test, found.clusters)


def _noise(outcomes: Mapping[str, Outcome], group: str, method: str) -> CensusNoise:
    model = outcomes[row_models(method, group)[0]].model
    task, row = model.tasks[group], paper.TABLES[group].get(method)
    sd = task.test.sd if model.seeded else None
    return CensusNoise(
        method=method,
        sd=sd,
        se_test=task.se_test,
        lift=None if sd is None else sd * lift_of_best(len(task.test.values)),
        lift_paper=None if sd is None else sd * lift_of_best(paper.RUNS),
        paper_sd=None if row is None else (row.best - row.mean) / lift_of_best(paper.RUNS),
    )
