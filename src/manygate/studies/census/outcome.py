"""Outcome: what the study keeps of a method that was tuned and trained. Weights are not kept.

Shape suffixes: R runs, N test rows, T tasks, G groups of test rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from manygate import metrics
from manygate.data.encoded import EncodedLog
from manygate.errors import InputError, setting
from manygate.evaluation.gains import measured
from manygate.metrics.paired import Measured
from manygate.metrics.uncertainty import interval
from manygate.model.problem import Problem
from manygate.results.census import CensusModel, CensusTask
from manygate.scoring.outputs import task_output
from manygate.studies.census.storage import read_step, write_step

Tasks = dict[str, CensusTask]
GROUPS = 2000
"""The test rows are divided at random into so many groups, the same for every method, and the influences of a group are summed. So
an outcome is small enough to be kept for good. The luck of the test rows is then known to within 3 % (two standard errors)."""


@dataclass(frozen=True)
class Outcome:
    """The numbers of a model, and the influence of each group of test rows on the mean AUC of each task, by name, (G,)."""

    model: CensusModel
    influence_G: Mapping[str, np.ndarray]

    def measured(self, task: str, runs: int) -> Measured:
        """Return a task's AUC as :func:`manygate.metrics.paired.gain` takes it.

        A method without seeds was fitted once. Each of its ``runs`` would be the same.
        """
        values = self.model.tasks[task].test.values
        value_R = np.array([math.nan if value is None else value for value in values])
        return Measured(value_R if self.model.seeded else np.repeat(value_R, runs), self.influence_G[task], 0, 0.0, 1.0)


def judge(log: EncodedLog, problem: Problem, logit_RNT: Mapping[str, np.ndarray]) -> tuple[Tasks, dict[str, np.ndarray]]:
    """Measure logits of the parts ``valid`` and ``test``. Return the numbers of each task, and the influences of groups of rows."""
    test = measured(logit_RNT["test"], log.parts["test"], problem)
    valid = measured(logit_RNT["valid"], log.parts["valid"], problem)
    tasks: Tasks = {}
    for t, task in enumerate(problem.tasks):
        label_N, weight_N = problem.labelled(log.parts["test"], t)
        output_N = task_output(logit_RNT["test"], problem, t).mean(axis=0)
        tasks[task.name] = CensusTask(
            valid=interval(valid[task.name].value_R.tolist(), 0.0, 1.0),
            test=interval(test[task.name].value_R.tolist(), 0.0, 1.0),
            ensemble=_finite(metrics.auc(label_N, output_N, weight_N)),
            se_test=_finite(metrics.standard_error(test[task.name].influence_G)),
            rows=int((weight_N > 0).sum()),
            positives=int((label_N[weight_N > 0] == 1).sum()),
        )
    return tasks, {name: summed(entry.influence_G) for name, entry in test.items()}


def summed(influence_N: np.ndarray) -> np.ndarray:
    """Sum the influences of the test rows within each group, (G,). The groups have equal sizes, but for one row."""
    group_N = np.random.Generator(np.random.PCG64(GROUPS)).permutation(len(influence_N)) % GROUPS
    return np.bincount(group_N, influence_N, GROUPS)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def kept(folder: Path, key: str, defaults: Mapping[str, JsonValue], work: Callable[[], Outcome]) -> Outcome:
    """Return the outcome that a folder holds, or do the work and write it there.

    ``defaults`` are the settings before the search. A setting that a later version adds may be missing in the folder. Raises
    :class:`InputError` if one has another value there.
    """
    step = read_step(folder, key)
    if step is not None:
        tree, arrays = step
        then = tree["defaults"]
        changed = [f"{name} {then[name]!r}" for name, value in defaults.items() if then.get(name, value) != value]
        if changed:
            raise InputError(f"{folder}: made with other default settings: {', '.join(changed)}. Choose another {setting('out')}.")
        return Outcome(CensusModel.model_validate(tree["model"]), arrays)
    outcome = work()
    write_step(folder, key, {"defaults": dict(defaults), "model": outcome.model.to_tree()}, outcome.influence_G)
    return outcome
